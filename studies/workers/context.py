"""Circumstances of a worker process: its device, its limits and its supervisor."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class WorkerContext:
    """Circumstances of a worker process.

    Args:
        device: Description of its device; empty for the devices that the backend sees.
        device_share: Fraction of the device that it uses: 0.5 where two workers share a GPU.
        gpu_memory: GPU memory limit in bytes, or None.
        log: Path of its log file, or None.
        max_trials: Number of trials after which a new process replaces it; None for no limit.
        max_memory: Private memory in bytes above which a new process replaces it; None for no limit.
        parent: Process id of its supervisor, which reports the result of the search; None without one.
        is_replacement: It continues the work of another process of the same run, so the study keeps its limits.
        checks_model: Build the first model before the first trial; False after a process has crashed without a message.
            If that model is the cause, it then fails as a trial, and the others are evaluated.
        study: Identity of the study that the run works on; None while unknown.
        started: Reading of `time.monotonic`, which all processes of a machine share, at the start of the command, from
            which a time limit counts; None for now.
    """

    device: str = ""
    device_share: float = 1.0
    gpu_memory: int | None = None
    log: str | None = None
    max_trials: int | None = None
    max_memory: int | None = None
    parent: int | None = None
    is_replacement: bool = False
    checks_model: bool = True
    study: str | None = None
    started: float | None = None

    def parent_is_alive(self) -> bool:
        """Return True while the supervisor exists, or if there is none."""
        return self.parent in (None, os.getppid())


STANDALONE = WorkerContext()

RECYCLED = 75
"""Exit code of a process that asks to be replaced by a new one (EX_TEMPFAIL of sysexits.h: try again)."""
