"""When to restart a worker process: Keras and TensorFlow leak a little memory with every model."""

from collections.abc import Callable
from pathlib import Path

import psutil

FRACTION = 0.8
"""Fraction of the machine's memory for all workers together."""

_CGROUP = Path("/sys/fs/cgroup/memory.max")


def restart_check(trials: int, memory: int, own_memory: Callable[[], int] | None = None) -> Callable[[int], bool]:
    """Return a function that takes the number of evaluated trials and returns True if the process should restart.

    Args:
        trials: Maximum number of trials per process; at least one is evaluated.
        memory: Maximum private memory, in bytes.
        own_memory: Returns the current private memory, in bytes; None to measure it.
    """
    measured = own_memory or private_memory

    def should_restart(evaluated: int) -> bool:
        return evaluated > 0 and (evaluated >= trials or measured() > memory)

    return should_restart


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
