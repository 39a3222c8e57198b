"""Circumstances of a worker process: its device, its limits and its supervisor."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class WorkerContext:
    """Circumstances of a worker process.

    Args:
        device: Description of its device; empty for the devices that the backend sees.
        device_share: Fraction of the device that it uses: 0.5 where two workers share a GPU.
        gpu_memory: GPU memory limit in bytes, or None.
        log: Path of its log file, or None.
        should_restart: Takes the number of evaluated trials; returns True if a new process should continue.
        parent_is_alive: Returns True while the process that started it exists.
        is_replacement: It continues the work of another process of the same run, so the study keeps its limits.
        checks_model: Build the first model before the first trial; False after a process has crashed without a message.
        study: Identity of the study that the run works on; None while unknown.
        is_supervised: A supervisor has started it, and reports the result of the search.
        started: Reading of `time.monotonic` at the start of the command, from which a time limit counts; None for now.
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
"""Exit code of a process that asks to be replaced by a new one (EX_TEMPFAIL of sysexits.h: try again)."""
