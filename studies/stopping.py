"""Ending early on purpose: Ctrl-C, SIGTERM and the time limit."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType


@dataclass
class StopRequest:
    """Whether somebody asked for an end, and when time is over.

    Args:
        deadline: Reading of `clock` from which on time is over, or None.
        clock: Seconds that only ever grow.
    """

    deadline: float | None = None
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    signal_name: str | None = None
    _is_timeless: bool = field(default=False, init=False)

    def request(self, signal_name: str) -> None:
        """Ask for an end."""
        self.signal_name = self.signal_name or signal_name

    @property
    def requested(self) -> bool:
        """Whether a signal asked for an end."""
        return self.signal_name is not None

    def ignore_time(self) -> None:
        """From now on no time limit counts, not even a later one."""
        self._is_timeless = True

    @property
    def out_of_time(self) -> bool:
        """Whether the time limit has passed."""
        return not self._is_timeless and self.deadline is not None and self.clock() >= self.deadline

    def __call__(self) -> bool:
        """Whether to end now, for whatever reason."""
        return self.requested or self.out_of_time


@contextlib.contextmanager
def signals(stop: StopRequest, on_first: Callable[[str], None] = lambda name: None) -> Iterator[None]:
    """Let SIGINT and SIGTERM ask for an end; the second one leaves at once.

    Args:
        stop: What is asked.
        on_first: Called with the signal's name at the first one, inside the signal handler.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if stop.requested:
            os._exit(128 + number)
        stop.request(name)
        on_first(name)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
