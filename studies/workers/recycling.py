"""When to restart a worker process: Keras and TensorFlow leak a little memory with every model."""

import math
from pathlib import Path

import psutil

from studies.workers.context import WorkerContext

FRACTION = 0.8
"""Fraction of the machine's memory for all workers together."""

_CGROUP = Path("/sys/fs/cgroup/memory.max")


def should_restart(process: WorkerContext, evaluated: int) -> bool:
    """Return True if a process has reached a limit of its own after a number of trials; it evaluates at least one."""
    has_done_its_trials = process.max_trials is not None and evaluated >= process.max_trials
    return evaluated > 0 and (has_done_its_trials or private_memory() > (process.max_memory or math.inf))


def private_memory() -> int:
    """Return the private memory of this process in bytes, without mapped files such as decoded images."""
    memory = psutil.Process().memory_info()
    return int(memory.rss - getattr(memory, "shared", 0))


def memory_per_worker(workers: int) -> int:
    """Return the share of this machine's memory that each worker may use, in bytes."""
    return int(FRACTION * machine_memory() / workers)


def machine_memory(limit: Path = _CGROUP) -> int:
    """Return the memory of this machine, or of its container, in bytes."""
    total = int(psutil.virtual_memory().total)
    try:
        allowed = limit.read_text().strip()
    except OSError:
        return total
    return min(total, int(allowed)) if allowed.isdigit() else total
