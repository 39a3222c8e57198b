"""Processes of this machine: when a process started, and whether it has ended."""

import contextlib
import os
import socket
import time
from functools import cache
from pathlib import Path

_PROC = Path("/proc")
_ENDED, _STOPPED = ("Z", "X"), ("T", "t")
_LOADED_AT = time.monotonic()


def uptime() -> float:
    """Return seconds on a clock that all processes of this machine share; it includes the time in suspend."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def process_age() -> float:
    """Return the seconds since this process started; since this module was loaded where the system does not say."""
    start = start_ticks(os.getpid())
    if start is None:
        return time.monotonic() - _LOADED_AT
    return max(0.0, uptime() - start / os.sysconf("SC_CLK_TCK"))


@cache
def machine() -> str:
    """Return a name that two processes share only if each can see the other by its process id.

    It holds the host name, the id of this boot and the namespace of process ids, so that containers differ.
    """
    boot, namespace = "", ""
    with contextlib.suppress(OSError):
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    with contextlib.suppress(OSError):
        namespace = str((_PROC / "self/ns/pid").readlink())
    return f"{socket.gethostname()[:150]} {boot} {namespace}"[:255]


def start_ticks(pid: int) -> int | None:
    """Return when a process of this machine started, in clock ticks since the boot; None if unknown."""
    fields = _stat(pid)
    return int(fields[19]) if fields else None


def is_gone(pid: int, start: int | None) -> bool:
    """Return True if the process of this machine with that id has certainly ended.

    `start` is what `start_ticks` returned for it; None leaves no certainty, since ids are used again.
    """
    if start is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        # It is another user's, and may be hidden.
        pass
    fields = _stat(pid)
    return fields is not None and (int(fields[19]) != start or fields[0] in _ENDED)


def is_stopped(pid: int) -> bool:
    """Return True if the process of this machine with that id was stopped by a signal, and will perhaps resume."""
    fields = _stat(pid)
    return fields is not None and fields[0] in _STOPPED


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the name of the program, from the state on; None where it cannot be read."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return fields if len(fields) > 19 and fields[19].isdigit() else None
