"""What one process is among the workers of a study."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Process:
    """What a process is among the workers of a study.

    Args:
        device_share: Its part of its device: 0.5 where two workers share a GPU.
        log: Its log file, or None.
        has_enough: Whether it should make room for a fresh process after so many trials.
        parent_lives: Whether whoever started it is still there.
    """

    device_share: float = 1.0
    log: str | None = None
    has_enough: Callable[[int], bool] = lambda evaluated: False
    parent_lives: Callable[[], bool] = lambda: True


ALONE = Process()
