"""Events of a worker process for its supervisor: one JSON object a line, over a pipe."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from typing import get_args

from studies.events import WorkerEvent

VERSION = 1
KINDS: dict[str, type[WorkerEvent]] = {kind.__name__: kind for kind in get_args(WorkerEvent)}
CAPACITY_BYTES = MAX_LINE_BYTES = 2**20
CHUNK_BYTES = 2**16


class EventWriter:
    """The worker's end of the pipe. Sending never blocks and never fails: an event that does not fit is dropped.

    Args:
        descriptor: Write end of the pipe; None to send nothing.
    """

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self._is_torn = False
        if descriptor is not None:
            os.set_blocking(descriptor, False)
            # Programs that the worker starts do not keep the pipe open.
            os.set_inheritable(descriptor, False)

    def send(self, event: WorkerEvent) -> None:
        """Send an event, or drop it if the supervisor has not read for too long, or is gone."""
        if self._descriptor is None:
            return
        left = b"\n" * self._is_torn + encode(event)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
                self._is_torn = bool(left)
        except BlockingIOError:
            return
        except OSError:
            # The supervisor is gone; Python ignores SIGPIPE.
            self._descriptor = None


class EventReader:
    """The supervisor's end of the pipe of one worker process.

    Args:
        descriptor: Read end of the pipe.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor
        self._partial = b""
        os.set_blocking(descriptor, False)

    def read(self) -> list[WorkerEvent]:
        """Return the events that have arrived since the last call, without waiting for more."""
        *lines, self._partial = (self._partial + b"".join(self._chunks())).split(b"\n")
        if len(self._partial) > MAX_LINE_BYTES:
            self._partial = b""
        return [event for line in lines if (event := decode(line)) is not None]

    def close(self) -> None:
        """Close the pipe; later reads return nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _chunks(self) -> Iterator[bytes]:
        """Read what is there, but no more than the pipe holds: a worker that floods it must not keep the supervisor."""
        if self._descriptor is None:
            return
        with contextlib.suppress(BlockingIOError):
            for _ in range(CAPACITY_BYTES // CHUNK_BYTES):
                # A process that the worker has started may keep the pipe open, so its end is never waited for.
                if not (chunk := os.read(self._descriptor, CHUNK_BYTES)):
                    return
                yield chunk


def open_pipe() -> tuple[EventReader, int]:
    """Return the reader of a new pipe and its write end, which no process inherits unless it is passed on."""
    reader, writer = os.pipe()
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with contextlib.suppress(OSError):
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, CAPACITY_BYTES)
    return EventReader(reader), writer


def encode(event: WorkerEvent) -> bytes:
    """Return an event as a line of JSON."""
    return json.dumps({"version": VERSION, "event": type(event).__name__, "fields": asdict(event)}).encode() + b"\n"


def decode(line: bytes) -> WorkerEvent | None:
    """Return the event in a line; None for a torn line, or an event of another version."""
    try:
        message = json.loads(line)
        return KINDS[message["event"]](**message["fields"]) if message["version"] == VERSION else None
    except (ValueError, TypeError, KeyError):
        return None
