"""Ending early on purpose: Ctrl-C, SIGTERM and the time limit."""

import contextlib
import math
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
        deadline: Reading of `clock` at which the time limit of the whole command ends, or None.
        clock: Seconds that only ever grow.
        leaves_at_second: Whether a second signal ends the process at once. A supervisor forwards the signal that a
            scheduler may have sent to all processes already: for its workers the second means no more than the first.
    """

    deadline: float | None = None
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    signal_name: str | None = None
    leaves_at_second: bool = True
    reserve_seconds: float = field(default=0.0, init=False)
    """Kept of the time limit for what follows the present work: time is over so much earlier."""
    is_used_up: bool = field(default=False, init=False)
    """The devices were used for as long as they may: the search ends, and what follows it does not."""
    _is_search_over: bool = field(default=False, init=False)

    def request(self, signal_name: str) -> None:
        """Ask for an end."""
        self.signal_name = self.signal_name or signal_name

    @property
    def requested(self) -> bool:
        """Whether a signal asked for an end."""
        return self.signal_name is not None

    def end_search(self) -> None:
        """From now on only the time limit of the whole command counts, not what the search may use of the devices."""
        self._is_search_over = True

    @property
    def seconds_left(self) -> float:
        """Until the time limit; infinite without one."""
        return math.inf if self.deadline is None else self.deadline - self.clock()

    @property
    def out_of_time(self) -> bool:
        """Whether the time of the present work is over."""
        return (self.is_used_up and not self._is_search_over) or self.seconds_left <= self.reserve_seconds

    def __call__(self) -> bool:
        """Whether to end now, for whatever reason."""
        return self.requested or self.out_of_time


@contextlib.contextmanager
def signals(
    stop: StopRequest,
    on_first: Callable[[str], None] = lambda name: None,
    on_second: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Let SIGINT and SIGTERM ask for an end; the second one leaves at once, unless the request says otherwise.

    Args:
        stop: What is asked.
        on_first: Called with the signal's name at the first one, inside the signal handler.
        on_second: Called at the second one, before this process ends.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if stop.requested and not stop.leaves_at_second:
            return
        if stop.requested:
            on_second()
            os._exit(128 + number)
        stop.request(name)
        on_first(name)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
