"""When a worker makes room for a fresh process: Keras and TensorFlow keep a little memory of every model."""

from collections.abc import Callable
from pathlib import Path

import psutil

SHARE = 0.8
_CGROUP = Path("/sys/fs/cgroup/memory.max")


def restart_check(trials: int, memory: int, own_memory: Callable[[], int] | None = None) -> Callable[[int], bool]:
    """What says whether a process should end after so many trials; never before the first.

    Args:
        trials: Most trials of one process.
        memory: Most bytes of its own.
        own_memory: Gives the bytes that it has now.
    """
    measured = own_memory or private_memory

    def asked(evaluated: int) -> bool:
        return evaluated > 0 and (evaluated >= trials or measured() > memory)

    return asked


def private_memory() -> int:
    """The bytes of memory that this process alone keeps: without files that are mapped, such as decoded images."""
    memory = psutil.Process().memory_info()
    return int(memory.rss - getattr(memory, "shared", 0))


def memory_per_worker(workers: int) -> int:
    """What each of so many workers may keep of this machine's memory, in bytes."""
    return int(SHARE * machine_memory() / workers)


def machine_memory(limit: Path = _CGROUP) -> int:
    """The memory of this machine, or of the container, in bytes."""
    total = int(psutil.virtual_memory().total)
    try:
        allowed = limit.read_text().strip()
    except OSError:
        return total
    return min(total, int(allowed)) if allowed.isdigit() else total
