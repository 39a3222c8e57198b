"""Supervises the worker processes of this machine: restarts those that crash, and stops them all."""

import math
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from spaces.errors import DataError, NoResultError, SearchError, WorkerError
from studies.database.identities import StudyDeletedError
from studies.events import WorkerEvent, WorkerFailed
from studies.workers.context import RECYCLED

RESTART_AFTER_SECONDS = (0.0, 2.0, 8.0)
"""Delay before the first, the second and every later restart of a worker that finishes no trial."""

CRASHES_COUNT_SECONDS = 600.0
"""Crashes longer ago do not count."""

DATABASE_WAIT_SECONDS = 5.0
"""Longest wait for the database to show what a crashed process had finished."""

GRACE_SECONDS = 8.0
TICK_SECONDS = 0.1

_FATAL_FOR_ALL = (NoResultError.exit_code, DataError.exit_code)
"""Exit codes that end the run: every worker reads the same images, and would fail in the same way."""


class Child(Protocol):
    """A worker process."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def read_events(self) -> Sequence[WorkerEvent]: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


class WorkerLog(Protocol):
    """Log file of a worker."""

    @property
    def path(self) -> object: ...
    @property
    def number(self) -> int: ...
    def tail(self) -> str: ...


@dataclass(frozen=True)
class ProcessExit:
    """The exit of a process with an error.

    Args:
        pid: Its process id.
        code: Its exit code.
        reason: Error message that it reported, or None.
        noticed_at: When it was noticed, on the supervisor's clock.
    """

    pid: int
    code: int
    reason: str | None
    noticed_at: float


@dataclass
class Slot:
    """One worker of this machine, whichever process it currently is.

    Args:
        log: Its log file.
        child: Its process; None between two processes and at the end.
        start_at: When to start a process, on the supervisor's clock; None for never.
        exit: Crash of its process that is still to be handled, or None.
        crashes: Times of the crashes since its processes last finished a trial.
        is_replacement: One of its processes has already worked on the study.
        failure: Error that its last process reported before it exited, or None.
    """

    log: WorkerLog
    child: Child | None = None
    start_at: float | None = 0.0
    exit: ProcessExit | None = None
    crashes: list[float] = field(default_factory=list)
    is_replacement: bool = False
    failure: str | None = None


@dataclass
class Supervisor:
    """Keeps a process running for each worker until it has finished the study.

    Args:
        slots: The workers.
        start: Starts a process for a worker.
        mark_lost: Called with the process id of a crashed worker, so that its trial is requeued at once.
        report: Called with a message for the user when a worker crashes.
        has_joined: Returns True if any process of this run has joined the study.
        has_finished_trials: Returns True if the process of that id has finished trials, as the database knows.
        on_event: Called with each event of a worker, except its failure.
        database_read_at: Returns when the database was last read, on the supervisor's clock.
        max_restarts: Number of crashes in a row, without a finished trial, after which the run fails.
        is_deleted: Returns True if the study that the workers had joined was deleted.
        clock: Monotonic clock, in seconds.
    """

    slots: Sequence[Slot]
    start: Callable[[Slot], Child]
    mark_lost: Callable[[int], None]
    report: Callable[[str], None]
    has_joined: Callable[[], bool]
    has_finished_trials: Callable[[int], bool]
    on_event: Callable[[Slot, WorkerEvent], None] = lambda slot, event: None
    database_read_at: Callable[[], float] = lambda: math.inf
    max_restarts: int = len(RESTART_AFTER_SECONDS)
    is_deleted: Callable[[], bool] = lambda: False
    clock: Callable[[], float] = time.monotonic

    def tick(self) -> bool:
        """Start the processes that are due and handle those that exited. Return False once all are done.

        Raises:
            SearchError: A worker reported an error that affects every worker.
            StudyDeletedError: A worker crashed, and the study no longer exists.
            WorkerError: A worker kept crashing.
        """
        for slot in self.slots:
            if slot.start_at is not None and self.clock() >= slot.start_at:
                slot.child, slot.start_at, slot.failure = self.start(slot), None, None
            if slot.exit is not None:
                self._schedule_restart(slot, slot.exit)
            if (child := slot.child) is None:
                continue
            code = self._poll(slot, child)
            if code is not None:
                slot.child = None
                self._handle_exit(slot, child.pid, code)
            elif slot.crashes and self.has_finished_trials(child.pid):
                slot.crashes.clear()
        return any((slot.child, slot.start_at, slot.exit) != (None, None, None) for slot in self.slots)

    def _poll(self, slot: Slot, child: Child) -> int | None:
        """Pass on the events of a process. Return its exit code, or None while it runs."""
        code = child.poll()
        for event in child.read_events():
            if isinstance(event, WorkerFailed):
                slot.failure = event.message
            else:
                self.on_event(slot, event)
        return code

    def _handle_exit(self, slot: Slot, pid: int, code: int) -> None:
        if code == 0:
            return
        if code == RECYCLED:
            slot.start_at, slot.is_replacement = self.clock(), True
            return
        self.mark_lost(pid)
        reason = slot.failure if code > 0 else None
        if reason is not None and (code in _FATAL_FOR_ALL or not self.has_joined()):
            raise _worker_error(code, reason)
        slot.exit = ProcessExit(pid, code, reason, self.clock())
        self._schedule_restart(slot, slot.exit)

    def _schedule_restart(self, slot: Slot, crash: ProcessExit) -> None:
        """Restart a worker that crashed, once the database shows whether it had finished trials."""
        now = self.clock()
        if self.database_read_at() < crash.noticed_at and now < crash.noticed_at + DATABASE_WAIT_SECONDS:
            return
        slot.exit = None
        if self.is_deleted():
            raise StudyDeletedError
        if self.has_finished_trials(crash.pid):
            slot.crashes.clear()
        slot.crashes = [then for then in slot.crashes if now - then < CRASHES_COUNT_SECONDS]
        # A worker that reports an error has released its trial, which is not to blame.
        may_be_a_trial = crash.reason is None and self.has_joined()
        if len(slot.crashes) >= (self.max_restarts if may_be_a_trial else len(RESTART_AFTER_SECONDS)):
            raise self._restart_limit_error(slot, crash)
        slot.start_at = now + RESTART_AFTER_SECONDS[: len(slot.crashes) + 1][-1]
        slot.crashes.append(now)
        self.report(f"worker {slot.log.number} {describe_exit(crash.code)}; restarting it (log: {slot.log.path})")

    def _restart_limit_error(self, slot: Slot, crash: ProcessExit) -> SearchError:
        times = len(slot.crashes) + 1
        summary = f"worker {slot.log.number} crashed {times} times without finishing a trial"
        last = f"{summary}; the last process {describe_exit(crash.code)}"
        if crash.reason is not None:
            return _worker_error(crash.code, f"{last}: {crash.reason}\nhint: see {slot.log.path}")
        return WorkerError(f"{last}\n{slot.log.tail()}\nhint: see {slot.log.path}")

    def terminate(self) -> None:
        """Ask all processes to stop, and start no more."""
        for slot in self.slots:
            slot.start_at = slot.exit = None
            if slot.child is not None:
                slot.child.terminate()

    def kill(self) -> None:
        """Kill all processes."""
        for slot in self.slots:
            if slot.child is not None:
                slot.child.kill()

    def end(self, sleep: Callable[[float], None] = time.sleep, grace_seconds: float = GRACE_SECONDS) -> None:
        """Ask all processes to stop, wait for them, and kill those that take too long; their trials are requeued."""
        self.terminate()
        until = self.clock() + grace_seconds
        while self._is_any_left() and self.clock() < until:
            sleep(TICK_SECONDS)
        self.kill()
        while self._is_any_left():
            sleep(TICK_SECONDS)

    def _is_any_left(self) -> bool:
        """Remove the processes that exited. Return True if any is left."""
        for slot in self.slots:
            if (child := slot.child) is not None and (code := self._poll(slot, child)) is not None:
                if code < 0:
                    self.mark_lost(child.pid)
                slot.child = None
        return any(slot.child is not None for slot in self.slots)


def max_restarts(max_retries: int) -> int:
    """Return how often a worker that finishes no trial may crash, where a trial may crash `max_retries + 1` workers.

    Two such trials in a row still differ from a broken machine. The first of them may also crash the process that
    builds its model before the search.
    """
    return max(len(RESTART_AFTER_SECONDS), 2 * (max_retries + 1) + 1)


def describe_exit(code: int) -> str:
    """Return in words how a process exited."""
    if code < 0:
        return f"was killed by {_signal_name(-code)}"
    if code > 128:
        return f"was stopped by {_signal_name(code - 128)}"
    return f"exited with code {code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _worker_error(code: int, message: str) -> SearchError:
    """Return the error of a worker as an error of this process."""
    error = SearchError(message)
    error.exit_code = code
    return error
