"""Stopping a run early on purpose: why, and since when."""

import contextlib
import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from types import FrameType
from typing import Self


class StopReason(StrEnum):
    """Why a run stops before its trials are done; the database stores the value, a display words it."""

    SIGINT = "SIGINT"
    SIGTERM = "SIGTERM"
    SIGPIPE = "SIGPIPE"
    STUDY_STOPPED = "study_stopped"
    TIME_LIMIT = "time_limit"
    GPU_HOURS = "gpu_hours"

    @classmethod
    def of_study(cls, stored: str | None) -> Self | None:
        """Return the reason stored with a study, or None; any unknown text means that the study was stopped."""
        if not stored:
            return None
        try:
            return cls(stored)
        except ValueError:
            return cls(cls.STUDY_STOPPED)


@dataclass
class StopRequest:
    """Whether this process must stop, and when its time is over.

    Args:
        deadline: Reading of `clock` at which the time limit of the whole command is reached, or None.
        clock: Monotonic clock, in seconds.
        leaves_at_second: Exit at once at a second signal. A supervisor forwards a signal that a scheduler may already
            have sent to every process, so its workers ignore the second one.
    """

    deadline: float | None = None
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    requested_by: StopReason | None = None
    leaves_at_second: bool = True
    reserve_seconds: float = field(default=0.0, init=False)
    """Seconds of the time limit kept for retraining and export: the search ends that much earlier."""
    is_used_up: bool = field(default=False, init=False)
    """The GPU hours are used up: the search ends, but retraining and export still run."""
    _is_search_over: bool = field(default=False, init=False)

    def request(self, reason: StopReason) -> None:
        """Ask this process to stop; the first reason is kept."""
        self.requested_by = self.requested_by or reason

    @property
    def requested(self) -> bool:
        """Return True if a signal, or a stop of the study, asked this process to stop."""
        return self.requested_by is not None

    def end_search(self) -> None:
        """From now on apply the time limit alone, no longer the GPU hours."""
        self._is_search_over = True

    @property
    def seconds_left(self) -> float:
        """Return the seconds until the time limit; infinite without one."""
        return math.inf if self.deadline is None else self.deadline - self.clock()

    @property
    def out_of_time(self) -> bool:
        """Return True if a limit of the present work is reached."""
        return self._limit() is not None

    @property
    def reason(self) -> StopReason | None:
        """Return why to stop now, or None to continue."""
        return self.requested_by or self._limit()

    def __call__(self) -> bool:
        """Return True if the process must stop now."""
        return self.reason is not None

    def _limit(self) -> StopReason | None:
        if self.is_used_up and not self._is_search_over:
            return StopReason.GPU_HOURS
        return StopReason.TIME_LIMIT if self.seconds_left <= self.reserve_seconds else None


@contextlib.contextmanager
def signals(
    stop: StopRequest,
    on_first: Callable[[StopReason], None] = lambda reason: None,
    on_second: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Let SIGINT and SIGTERM request a stop; a second signal exits at once, unless `stop` says otherwise.

    Args:
        stop: Receives the request.
        on_first: Called with the reason at the first signal, inside the signal handler.
        on_second: Called at the second signal, before this process exits.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        reason = StopReason(signal.Signals(number).name)
        if stop.requested and not stop.leaves_at_second:
            return
        if stop.requested:
            on_second()
            os._exit(128 + number)
        stop.request(reason)
        on_first(reason)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
