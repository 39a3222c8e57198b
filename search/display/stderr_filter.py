"""Captures what libraries write to standard error, and removes their notices.

C++ libraries write to the file descriptor itself, past `sys.stderr`, into the middle of a live display.
"""

import faulthandler
import os
import re
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

# TensorFlow 2.21 writes these on every start, whatever TF_CPP_MIN_LOG_LEVEL says: notices, warnings, and an error if
# the machine has no GPU.
NOTICES = re.compile(
    r"WARNING: All log messages before absl::InitializeLog"
    r"|[IW]\d{4} \d\d:\d\d:\d+\.\d+ +\d+ \S+:\d+\] "
    r"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IW] "
    r"|E\d{4} .*failed call to cuInit"
)


@contextmanager
def capture_stderr(show: Callable[[str], None] | None = None) -> Iterator[None]:
    """Read what is written to descriptor 2 in a thread, drop the notices, and show or write the other lines there."""
    if os.name == "nt":  # select() does not support pipes there.
        yield
        return
    sys.stderr.flush()
    saved = os.dup(2)
    reading, writing = os.pipe()
    os.dup2(writing, 2)
    os.close(writing)
    ended = Event()
    thread = Thread(target=_read, args=(reading, show or _writer(saved), ended), daemon=True)
    thread.start()
    try:
        with _crashes_reported_to(saved):
            yield
    finally:
        sys.stderr.flush()
        os.dup2(saved, 2)
        ended.set()
        thread.join()
        os.close(saved)


@contextmanager
def _crashes_reported_to(descriptor: int) -> Iterator[None]:
    """Write a traceback to the original descriptor if native code crashes, which also ends the reading thread."""
    if faulthandler.is_enabled():
        yield
        return
    faulthandler.enable(descriptor, all_threads=False)
    try:
        yield
    finally:
        faulthandler.disable()


def _writer(descriptor: int) -> Callable[[str], None]:
    def write(line: str) -> None:
        os.write(descriptor, f"{line}\n".encode(errors="backslashreplace"))

    return write


def _read(reading: int, show: Callable[[str], None], ended: Event) -> None:
    """Read until `ended` is set: a child process may keep the pipe open for longer."""
    rest = b""
    while True:
        last = ended.is_set()
        if select.select([reading], [], [], 0 if last else 0.1)[0] and (data := os.read(reading, 65536)):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                _show(line, show)
        elif last:
            break
    if rest:
        _show(rest, show)
    os.close(reading)


def _show(line: bytes, show: Callable[[str], None]) -> None:
    text = line.decode(errors="backslashreplace")
    if not NOTICES.match(text):
        show(text)
