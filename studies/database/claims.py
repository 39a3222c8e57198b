"""Takes trials so that each one is evaluated once, whatever dies; and writes what a worker finds out about its own."""

import itertools
import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from optuna.trial import TrialState
from sqlalchemy import exc

from spaces.errors import SearchError
from spaces.parameters import Scalar
from studies.database.identities import StudyDeleted, is_employed, is_of_its_study, is_of_trial
from studies.database.optuna_tables import FINISHED, STUDY, TRIALS, now_utc
from studies.database.postgresql import write_at_once
from studies.database.retries import epochs_now, fail_deadly, losses_now
from studies.database.tables import CLAIMS, EPOCHS, STUDIES
from studies.database.transactions import Database, upsert
from studies.database.trial_writes import Changes, End, Held, write_held
from studies.database.workers import Member, give_up_silent, hand_back_ownerless, is_alive


class TrialTaken(SearchError):
    """This worker was given up for lost, and its trial was taken by another one."""


@dataclass(frozen=True)
class Claim:
    """A trial that this worker has taken.

    Args:
        trial_id: The trial in the database.
        number: Its number.
        attempt: For the how manieth time it was taken.
        wanted: How many trials the study was to have then.
    """

    trial_id: int
    number: int
    attempt: int
    wanted: int


@dataclass(frozen=True)
class Nothing:
    """There is no trial to take; `over` when all have ended, else others are still at work and may be lost yet."""

    over: bool


@dataclass(frozen=True)
class Ledger:
    """The trials of a study as one of its workers sees them.

    Args:
        database: The database.
        member: The worker.
        points: Assignments that are laid down, by trial number.
        retries: How often a trial is taken again whose worker was lost before it had finished one more epoch; then
            the trial has failed.
    """

    database: Database
    member: Member
    points: Sequence[Mapping[str, Scalar]] = ()
    retries: int = 2

    def take(self, most: float = math.inf) -> Claim | Nothing:
        """Take a trial that waits, or a new one while there are fewer than the study is to have.

        Args:
            most: How many trials there can be, as far as is known; with the last one the study is over.
        """
        request, tries = str(uuid.uuid4()), itertools.count()
        return self.database.run(lambda connection: self._take(connection, request, most, is_again=next(tries) > 0))

    def _take(self, connection: sa.Connection, request: str, most: float, *, is_again: bool) -> Claim | Nothing:
        study_id = self.member.study_id
        if connection.dialect.name == "postgresql":
            # Others wait for this commit. One that a crash of the server forgets, with all that follows from it, is of
            # a trial that nobody has: its worker finds out when it writes.
            connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
        # One at a time: the number of trials is counted here. Optuna's own programs lock the second row when they
        # create a trial. SQLite's transactions are alone anyway.
        both = sa.join(STUDIES, STUDY, STUDIES.c.study_id == STUDY.c.study_id)
        query = sa.select(STUDIES.c.trials).select_from(both).where(STUDIES.c.study_id == study_id)
        wanted = connection.scalar(query.where(is_employed(self.member.worker_id)).with_for_update())
        if wanted is None:
            raise StudyDeleted
        if is_again and (mine := self._taken(connection, request, wanted)) is not None:
            return mine
        is_alive(connection, self.member)
        counts = _counts(connection, study_id)
        if not _is_any_free(counts, wanted):
            give_up_silent(connection, study_id)
            hand_back_ownerless(connection, study_id)
            counts = _counts(connection, study_id)
        if counts[TrialState.WAITING] and fail_deadly(connection, study_id, self.retries):
            counts = _counts(connection, study_id)
        if not _is_any_free(counts, wanted):
            return Nothing(over=_ended(counts) >= wanted)
        if counts[TrialState.WAITING]:
            taken = self._take_waiting(connection, request)
            return Claim(*taken, wanted) if taken is not None else Nothing(over=False)
        if sum(counts.values()) >= most:
            return self._nothing_left(connection, counts)
        return Claim(*self._create(connection, sum(counts.values()), request), wanted)

    def _nothing_left(self, connection: sa.Connection, counts: Mapping[TrialState, int]) -> Nothing:
        """No new trial can differ from those that there are: with the last of them the study is over."""
        if counts[TrialState.RUNNING]:
            return Nothing(over=False)
        row = sa.update(STUDIES).where(STUDIES.c.study_id == self.member.study_id)
        connection.execute(row.values(trials=_ended(counts)))
        return Nothing(over=True)

    def wanted(self) -> int:
        """How many trials the study is to have, which may grow while it runs."""
        query = sa.select(STUDIES.c.trials).where(STUDIES.c.study_id == self.member.study_id)
        return self.database.read(lambda connection: connection.scalar(query)) or 0

    def require_study(self) -> None:
        """Make sure that the study that the worker joined is there.

        Raises:
            StudyDeleted: It is gone.
        """
        query = sa.select(is_employed(self.member.worker_id))
        if not self.database.read(lambda connection: connection.scalar(query)):
            raise StudyDeleted

    def _taken(self, connection: sa.Connection, request: str, wanted: int) -> Claim | None:
        """What this same request took before its answer got lost."""
        joined = sa.join(CLAIMS, TRIALS, CLAIMS.c.trial_id == TRIALS.c.trial_id)
        query = sa.select(CLAIMS.c.trial_id, TRIALS.c.number, CLAIMS.c.attempt).select_from(joined)
        row = connection.execute(query.where(CLAIMS.c.request == request, CLAIMS.c.study_id == self.member.study_id))
        return Claim(*found, wanted) if (found := row.one_or_none()) else None

    def _take_waiting(self, connection: sa.Connection, request: str) -> tuple[int, int, int] | None:
        """Take the first trial that waits; None if a program of Optuna's own has taken them in the meantime."""
        waiting = (TRIALS.c.study_id == self.member.study_id) & (TRIALS.c.state == TrialState.WAITING)
        joined = sa.outerjoin(TRIALS, CLAIMS, is_of_trial())
        query = sa.select(TRIALS.c.trial_id, TRIALS.c.number, CLAIMS.c.attempt, losses_now().label("losses"))
        query = query.add_columns(epochs_now().label("epochs")).select_from(joined).where(waiting)
        query = query.order_by(TRIALS.c.number).limit(1)
        tried: list[int] = []
        while found := connection.execute(query.where(TRIALS.c.trial_id.not_in(tried))).one_or_none():
            trial_id, attempt = found.trial_id, (found.attempt or 0) + 1
            epochs = found.epochs if found.attempt else 0
            # Claims are locked before trials, here as everywhere.
            connection.execute(sa.select(CLAIMS.c.trial_id).where(CLAIMS.c.trial_id == trial_id).with_for_update())
            started = sa.func.coalesce(TRIALS.c.datetime_start, now_utc())
            still = (TRIALS.c.trial_id == trial_id) & (TRIALS.c.state == TrialState.WAITING)
            change = sa.update(TRIALS).where(still).values(state=TrialState.RUNNING, datetime_start=started)
            if connection.execute(change).rowcount:
                if found.attempt is None:
                    _forget_epochs(connection, trial_id)
                row = self._claim(trial_id, request, attempt) | {"epochs": epochs, "losses": found.losses or 0}
                upsert(connection, CLAIMS, [row], keys=("trial_id",))
                return trial_id, found.number, attempt
            tried.append(trial_id)
        return None

    def _create(self, connection: sa.Connection, number: int, request: str) -> tuple[int, int, int]:
        study_id = self.member.study_id
        row = {"study_id": study_id, "number": number, "state": TrialState.RUNNING, "datetime_start": now_utc()}
        created = connection.execute(sa.insert(TRIALS).values(row)).inserted_primary_key
        trial_id = int(created[0]) if created else 0
        if number < len(self.points):
            Changes(system_attrs={"fixed_params": dict(self.points[number])}).write(connection, trial_id)
        upsert(connection, CLAIMS, [self._claim(trial_id, request, 1)], keys=("trial_id",))
        _forget_epochs(connection, trial_id)
        return trial_id, number, 1

    def _claim(self, trial_id: int, request: str, attempt: int) -> dict[str, Any]:
        return {
            "trial_id": trial_id,
            "study_id": self.member.study_id,
            "worker_id": self.member.worker_id,
            "attempt": attempt,
            "request": request,
            "claimed_at": 0.0,
            "epochs": 0,
            "losses": 0,
        }

    def write(self, claim: Claim, changes: Changes) -> None:
        """Write what was found out about a trial.

        Raises:
            TrialTaken: It is another worker's by now.
            StudyDeleted: The study is gone.
        """
        self._write_held(claim, changes)

    def end(self, claim: Claim, changes: Changes, state: TrialState, value: float | None, epochs: int) -> None:
        """Write how a trial ended, and all that was not written yet.

        Args:
            claim: The trial.
            changes: What was not written yet.
            state: A finished one.
            value: Its value, or None.
            epochs: Its epochs; those that an earlier attempt had gone beyond are removed.

        Raises:
            TrialTaken: It is another worker's by now.
        """
        if claim.attempt > 1:
            changes = replace(changes, epochs={n: each for n, each in changes.epochs.items() if n <= epochs})
        self._write_held(claim, replace(changes, value=value), End(state, epochs if claim.attempt > 1 else None))

    def _write_held(self, claim: Claim, changes: Changes, end: End | None = None) -> None:
        held = Held(claim.trial_id, self.member.worker_id, claim.attempt)
        is_postgresql = self.database.engine.dialect.name == "postgresql"
        write, run = (write_at_once, self.database.run_one) if is_postgresql else (write_held, self.database.run)
        try:
            is_held = run(lambda connection: write(connection, held, changes, end))
        except exc.IntegrityError:
            # Its trials may be deleted while this is written.
            self.require_study()
            raise
        if not is_held:
            self.require_study()
            raise TrialTaken(
                f"trial {claim.number} was taken by another worker, since nothing was heard of this one for "
                f"{self.member.lost_after_seconds:g} seconds: going on with another trial"
            )

    def hand_back(self, claim: Claim, changes: Changes) -> None:
        """Let a trial wait for whichever worker is free; nothing happens if it is another one's by now."""

        def work(connection: sa.Connection) -> None:
            mine = (CLAIMS.c.trial_id == claim.trial_id) & (CLAIMS.c.worker_id == self.member.worker_id)
            held = sa.update(CLAIMS).where(mine, CLAIMS.c.attempt == claim.attempt, is_of_its_study())
            if connection.execute(held.values(worker_id=None)).rowcount:
                changes.write(connection, claim.trial_id)
                running = (TRIALS.c.trial_id == claim.trial_id) & (TRIALS.c.state == TrialState.RUNNING)
                connection.execute(sa.update(TRIALS).where(running).values(state=TrialState.WAITING))

        self.database.run(work)


def _forget_epochs(connection: sa.Connection, trial_id: int) -> None:
    """Remove the epochs of a trial that had this id before, in a study that was deleted since."""
    connection.execute(sa.delete(EPOCHS).where(EPOCHS.c.trial_id == trial_id))


def is_claimed(database: Database, trial_id: int) -> bool:
    """Return True if a worker has ever taken a trial."""
    query = sa.select(sa.func.count()).where(CLAIMS.c.trial_id == trial_id)
    return bool(database.read(lambda connection: connection.scalar(query)))


def _counts(connection: sa.Connection, study_id: int) -> dict[TrialState, int]:
    query = sa.select(TRIALS.c.state, sa.func.count()).where(TRIALS.c.study_id == study_id).group_by(TRIALS.c.state)
    found = {state: count for state, count in connection.execute(query)}
    return {state: found.get(state, 0) for state in TrialState}


def _ended(counts: Mapping[TrialState, int]) -> int:
    return sum(counts[state] for state in FINISHED)


def _is_any_free(counts: Mapping[TrialState, int], wanted: int) -> bool:
    """Whether a trial can be taken: some may wait beyond those that are wanted, which somebody has enqueued."""
    return _ended(counts) + counts[TrialState.RUNNING] < wanted
