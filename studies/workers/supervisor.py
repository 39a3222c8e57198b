"""Watches the worker processes of this machine: replaces the dead ones, and ends them all in good order."""

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
"""How long to wait before the first, the second and every later replacement of a worker that ends no trial."""

FORGOTTEN_AFTER_SECONDS = 600.0
LOOK_SECONDS = 5.0
"""How long to wait for the database to say what a process had done that died."""

GRACE_SECONDS = 8.0
TICK_SECONDS = 0.1

_OF_ALL = (NoResultError.exit_code, DataError.exit_code)
"""What ends one worker ends all: every worker reads the same images, and another would lose them too."""


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
    """That of a process.

    Args:
        pid: Its process id.
        code: Its exit code.
        reason: What it said, or None.
        at: When it was noticed, on the supervisor's clock.
    """

    pid: int
    code: int
    reason: str | None
    at: float


@dataclass
class Slot:
    """One of the workers of this machine, whatever process it is at the moment.

    Args:
        log: Its log file.
        child: Its process, or None between two of them and at the end.
        due: When to start a process, on the supervisor's clock; None when none is to be started.
        death: Its process has died, and what it had done is not known yet.
        crashes: When its processes died that had not ended a trial.
        is_replacement: A process of it has worked on the study.
        failure: Error that its last process reported before it ended, or None.
    """

    log: WorkerLog
    child: Child | None = None
    due: float | None = 0.0
    exit: ProcessExit | None = None
    crashes: list[float] = field(default_factory=list)
    is_replacement: bool = False
    failure: WorkerFailed | None = None


@dataclass
class Supervisor:
    """Keeps processes at work until each has ended its study.

    Args:
        slots: The workers.
        start: Starts a process for a worker.
        give_up: Called with the process id of one that died, so that its trial goes on elsewhere at once.
        tell: Called with what happened to a worker, in words.
        on_event: Called with what a worker process reports, other than its failure.
        has_joined: Whether any process of this run has worked on the study yet.
        has_ended_trials: Whether the process of that id has ended trials.
        looked_at: When the study was looked at that `has_ended_trials` knows.
        most_crashes: How often a worker is replaced that ends no trial.
        is_deleted: Whether the study was deleted that the processes have worked on.
        clock: Seconds that only ever grow.
    """

    slots: Sequence[Slot]
    start: Callable[[Slot], Child]
    give_up: Callable[[int], None]
    tell: Callable[[str], None]
    has_joined: Callable[[], bool]
    has_ended_trials: Callable[[int], bool]
    on_event: Callable[[Slot, WorkerEvent], None] = lambda slot, event: None
    looked_at: Callable[[], float] = lambda: math.inf
    max_restarts: int = len(RESTART_AFTER_SECONDS)
    is_deleted: Callable[[], bool] = lambda: False
    clock: Callable[[], float] = time.monotonic

    def tick(self) -> bool:
        """Start what is due and see who has ended; returns whether there is more to wait for.

        Raises:
            SearchError: The workers cannot work, for the reason that they gave.
            StudyDeleted: One died, and the study is gone.
            WorkerError: One died again and again.
        """
        for slot in self.slots:
            if slot.due is not None and self.clock() >= slot.due:
                slot.child, slot.due, slot.failure = self.start(slot), None, None
            if slot.exit is not None:
                self._schedule_restart(slot, slot.exit)
            if (child := slot.child) is None:
                continue
            code = self._poll(slot, child)
            if code is not None:
                slot.child = None
                self._ended(slot, child.pid, code)
            elif slot.crashes and self.has_ended_trials(child.pid):
                slot.crashes.clear()
        return any((slot.child, slot.due, slot.exit) != (None, None, None) for slot in self.slots)

    def _poll(self, slot: Slot, child: Child) -> int | None:
        """Return the exit code of a process, or None while it runs, after all that it has reported."""
        code = child.poll()
        for event in child.read_events():
            if isinstance(event, WorkerFailed):
                slot.failure = event
            else:
                self.on_event(slot, event)
        return code

    def _ended(self, slot: Slot, pid: int, code: int) -> None:
        if code == 0:
            return
        if code == RECYCLED:
            slot.due, slot.is_replacement = self.clock(), True
            return
        self.give_up(pid)
        reason = slot.failure.message if slot.failure is not None and code > 0 else None
        if reason is not None and (code in _OF_ALL or not self.has_joined()):
            raise _worker_error(code, reason)
        slot.exit = ProcessExit(pid, code, reason, self.clock())
        self._schedule_restart(slot, slot.exit)

    def _schedule_restart(self, slot: Slot, death: ProcessExit) -> None:
        """Replace a process that died, once it is known whether it had ended trials."""
        now, code, reason = self.clock(), death.code, death.reason
        if self.looked_at() < death.at and now < death.at + LOOK_SECONDS:
            return
        slot.exit = None
        if self.is_deleted():
            raise StudyDeletedError
        if self.has_ended_trials(death.pid):
            slot.crashes.clear()
        slot.crashes = [then for then in slot.crashes if now - then < FORGOTTEN_AFTER_SECONDS]
        # One that says why it ended has handed its trial back: no trial fails by that.
        may_be_a_trial = reason is None and self.has_joined()
        if len(slot.crashes) >= (self.max_restarts if may_be_a_trial else len(RESTART_AFTER_SECONDS)):
            raise self._restart_limit_error(slot, code, reason)
        slot.due = now + RESTART_AFTER_SECONDS[: len(slot.crashes) + 1][-1]
        slot.crashes.append(now)
        self.tell(f"worker {slot.log.number} {describe_exit(code)}: another one takes its place, {slot.log.path}")

    def _restart_limit_error(self, slot: Slot, code: int, reason: str | None) -> SearchError:
        times = len(slot.crashes)
        again = f"worker {slot.log.number} {describe_exit(code)}, as did the {times} before it without ending a trial"
        if reason is not None:
            return _worker_error(code, f"{reason}\n{again}: see {slot.log.path}")
        return WorkerError(f"{again}: see {slot.log.path}, which ends with\n{slot.log.tail()}")

    def terminate(self) -> None:
        """Ask all processes to end in good order, and start none any more."""
        for slot in self.slots:
            slot.due = slot.exit = None
            if slot.child is not None:
                slot.child.terminate()

    def kill(self) -> None:
        """End all processes at once."""
        for slot in self.slots:
            if slot.child is not None:
                slot.child.kill()

    def end(self, sleep: Callable[[float], None] = time.sleep, grace: float = GRACE_SECONDS) -> None:
        """Ask all processes to end, wait for them, and kill those that take too long; their trials wait for others."""
        self.terminate()
        until = self.clock() + grace
        while self._reaped() and self.clock() < until:
            sleep(TICK_SECONDS)
        self.kill()
        while self._reaped():
            sleep(TICK_SECONDS)

    def _reaped(self) -> bool:
        """Whether any process is left."""
        for slot in self.slots:
            if (child := slot.child) is not None and (code := self._poll(slot, child)) is not None:
                if code < 0:
                    self.give_up(child.pid)
                slot.child = None
        return any(slot.child is not None for slot in self.slots)


def max_restarts(retries: int) -> int:
    """How often a worker is replaced that ends no trial, where each trial may take `retries + 1` workers with it.

    Two such trials, one after the other, are told from a machine that has broken down. The first of them may also kill
    the process that checks its model before the search.
    """
    return max(len(RESTART_AFTER_SECONDS), 2 * (retries + 1) + 1)


def describe_exit(code: int) -> str:
    """How a process ended, in words."""
    if code < 0:
        return f"was killed by {_name(-code)}"
    if code > 128:
        return f"was ended by {_name(code - 128)}"
    return f"ended with exit code {code}"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _worker_error(code: int, reason: str) -> SearchError:
    """The error of a worker, told as if it were our own."""
    error = SearchError(reason)
    error.exit_code = code
    return error
