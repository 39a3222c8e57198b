"""What one process is among the workers of a study."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class WorkerContext:
    """What a process is among the workers of a study.

    Args:
        device: What it trains on, in words; empty for what the backend sees.
        device_share: Its part of its device: 0.5 where two workers share a GPU.
        gpu_memory: Most bytes that it may take of its GPU, or None.
        log: Its log file, or None.
        has_enough: Whether it should make room for a fresh process after so many trials.
        parent_lives: Whether whoever started it is still there.
        is_replacement: It goes on where another process of the same run has ended: the limits of the study stay.
        checks_model: Build the first model before the first trial; not where an earlier process died without a word.
        study: Identity of the study that the run works on; None while that is not known.
        is_supervised: Another process has started it, and says what came of the search.
        started: Reading of `time.monotonic` when the command began, from which a time limit counts; None for now.
    """

    device: str = ""
    device_share: float = 1.0
    gpu_memory: int | None = None
    log: str | None = None
    should_restart: Callable[[int], bool] = lambda evaluated: False
    parent_is_alive: Callable[[], bool] = lambda: True
    is_replacement: bool = False
    checks_model: bool = True
    study: str | None = None
    is_supervised: bool = False
    started: float | None = None


STANDALONE = WorkerContext()


RECYCLED = 75
"""How a process ends that makes room for a fresh one (EX_TEMPFAIL of sysexits.h: try again)."""
