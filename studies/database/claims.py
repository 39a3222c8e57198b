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
from studies.database.identities import StudyDeletedError, is_employed, is_of_its_study, is_of_trial
from studies.database.lost_workers import mark_lost_workers, requeue_orphaned_trials
from studies.database.optuna_tables import FINISHED, OPTUNA_STUDIES, TRIALS, now_utc
from studies.database.postgresql import write_if_claimed_postgresql
from studies.database.retries import crash_count, fail_crashing_trials, finished_epochs
from studies.database.tables import CLAIMS, EPOCHS, STUDIES
from studies.database.transactions import Database, upsert
from studies.database.trial_writes import ClaimKey, PendingWrites, TrialEnd, write_if_claimed
from studies.database.workers import WorkerRegistration, record_heartbeat


class ClaimLostError(SearchError):
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
    trial_budget: int


@dataclass(frozen=True)
class NoTrialLeft:
    """There is no trial to take; `over` when all have ended, else others are still at work and may be lost yet."""

    study_finished: bool


@dataclass(frozen=True)
class TrialQueue:
    """The trials of a study as one of its workers sees them.

    Args:
        database: The database.
        member: The worker.
        points: Assignments that are laid down, by trial number.
        retries: How often a trial is taken again whose worker was lost before it had finished one more epoch; then
            the trial has failed.
    """

    database: Database
    worker: WorkerRegistration
    assignments: Sequence[Mapping[str, Scalar]] = ()
    max_retries: int = 2

    def claim(self, most: float = math.inf) -> Claim | NoTrialLeft:
        """Take a trial that waits, or a new one while there are fewer than the study is to have.

        Args:
            most: How many trials there can be, as far as is known; with the last one the study is over.
        """
        request, tries = str(uuid.uuid4()), itertools.count()
        return self.database.run(
            lambda connection: self._claim_trial(connection, request, most, is_again=next(tries) > 0)
        )

    def _claim_trial(
        self, connection: sa.Connection, request: str, most: float, *, is_again: bool
    ) -> Claim | NoTrialLeft:
        study_id = self.worker.study_id
        if connection.dialect.name == "postgresql":
            # Others wait for this commit. One that a crash of the server forgets, with all that follows from it, is of
            # a trial that nobody has: its worker finds out when it writes.
            connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
        # One at a time: the number of trials is counted here. Optuna's own programs lock the second row when they
        # create a trial. SQLite's transactions are alone anyway.
        both = sa.join(STUDIES, OPTUNA_STUDIES, STUDIES.c.study_id == OPTUNA_STUDIES.c.study_id)
        query = sa.select(STUDIES.c.trial_budget).select_from(both).where(STUDIES.c.study_id == study_id)
        wanted = connection.scalar(query.where(is_employed(self.worker.worker_id)).with_for_update())
        if wanted is None:
            raise StudyDeletedError
        if is_again and (mine := self._claimed_before(connection, request, wanted)) is not None:
            return mine
        record_heartbeat(connection, self.worker)
        counts = _counts(connection, study_id)
        if not _is_any_free(counts, wanted):
            mark_lost_workers(connection, study_id)
            requeue_orphaned_trials(connection, study_id)
            counts = _counts(connection, study_id)
        if counts[TrialState.WAITING] and fail_crashing_trials(connection, study_id, self.max_retries):
            counts = _counts(connection, study_id)
        if not _is_any_free(counts, wanted):
            return NoTrialLeft(study_finished=_ended(counts) >= wanted)
        if counts[TrialState.WAITING]:
            taken = self._claim_waiting(connection, request)
            return Claim(*taken, wanted) if taken is not None else NoTrialLeft(study_finished=False)
        if sum(counts.values()) >= most:
            return self._nothing_left(connection, counts)
        return Claim(*self._create(connection, sum(counts.values()), request), wanted)

    def _nothing_left(self, connection: sa.Connection, counts: Mapping[TrialState, int]) -> NoTrialLeft:
        """No new trial can differ from those that there are: with the last of them the study is over."""
        if counts[TrialState.RUNNING]:
            return NoTrialLeft(study_finished=False)
        row = sa.update(STUDIES).where(STUDIES.c.study_id == self.worker.study_id)
        connection.execute(row.values(trial_budget=_ended(counts)))
        return NoTrialLeft(study_finished=True)

    def trial_budget(self) -> int:
        """How many trials the study is to have, which may grow while it runs."""
        query = sa.select(STUDIES.c.trial_budget).where(STUDIES.c.study_id == self.worker.study_id)
        return self.database.read(lambda connection: connection.scalar(query)) or 0

    def require_study(self) -> None:
        """Make sure that the study that the worker joined is there.

        Raises:
            StudyDeleted: It is gone.
        """
        query = sa.select(is_employed(self.worker.worker_id))
        if not self.database.read(lambda connection: connection.scalar(query)):
            raise StudyDeletedError

    def _claimed_before(self, connection: sa.Connection, request: str, wanted: int) -> Claim | None:
        """What this same request took before its answer got lost."""
        joined = sa.join(CLAIMS, TRIALS, CLAIMS.c.trial_id == TRIALS.c.trial_id)
        query = sa.select(CLAIMS.c.trial_id, TRIALS.c.number, CLAIMS.c.attempt).select_from(joined)
        query = query.where(CLAIMS.c.claim_token == request, CLAIMS.c.study_id == self.worker.study_id)
        return Claim(*found, wanted) if (found := connection.execute(query).one_or_none()) else None

    def _claim_waiting(self, connection: sa.Connection, request: str) -> tuple[int, int, int] | None:
        """Take the first trial that waits; None if a program of Optuna's own has taken them in the meantime."""
        waiting = (TRIALS.c.study_id == self.worker.study_id) & (TRIALS.c.state == TrialState.WAITING)
        joined = sa.outerjoin(TRIALS, CLAIMS, is_of_trial())
        query = sa.select(TRIALS.c.trial_id, TRIALS.c.number, CLAIMS.c.attempt, crash_count().label("crash_count"))
        query = query.add_columns(finished_epochs().label("epochs")).select_from(joined).where(waiting)
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
                row = self._claim_row(trial_id, request, attempt)
                row |= {"epochs_at_claim": epochs, "crash_count": found.crash_count or 0}
                upsert(connection, CLAIMS, [row], keys=("trial_id",))
                return trial_id, found.number, attempt
            tried.append(trial_id)
        return None

    def _create(self, connection: sa.Connection, number: int, request: str) -> tuple[int, int, int]:
        study_id = self.worker.study_id
        row = {"study_id": study_id, "number": number, "state": TrialState.RUNNING, "datetime_start": now_utc()}
        created = connection.execute(sa.insert(TRIALS).values(row)).inserted_primary_key
        trial_id = int(created[0]) if created else 0
        if number < len(self.assignments):
            PendingWrites(system_attrs={"fixed_params": dict(self.assignments[number])}).write(connection, trial_id)
        upsert(connection, CLAIMS, [self._claim_row(trial_id, request, 1)], keys=("trial_id",))
        _forget_epochs(connection, trial_id)
        return trial_id, number, 1

    def _claim_row(self, trial_id: int, request: str, attempt: int) -> dict[str, Any]:
        return {
            "trial_id": trial_id,
            "study_id": self.worker.study_id,
            "worker_id": self.worker.worker_id,
            "attempt": attempt,
            "claim_token": request,
            "last_write_at": 0.0,
            "epochs_at_claim": 0,
            "crash_count": 0,
        }

    def save(self, claim: Claim, changes: PendingWrites) -> None:
        """Write what was found out about a trial.

        Raises:
            ClaimLostError: The trial is another worker's by now.
            StudyDeleted: The study is gone.
        """
        self._write_if_claimed(claim, changes)

    def finish(self, claim: Claim, changes: PendingWrites, state: TrialState, value: float | None, epochs: int) -> None:
        """Write how a trial ended, and all that was not written yet.

        Args:
            claim: The trial.
            changes: What was not written yet.
            state: A finished one.
            value: Its value, or None.
            epochs: Its epochs; those that an earlier attempt had gone beyond are removed.

        Raises:
            ClaimLostError: The trial is another worker's by now.
        """
        if claim.attempt > 1:
            changes = replace(changes, epochs={n: each for n, each in changes.epochs.items() if n <= epochs})
        self._write_if_claimed(
            claim, replace(changes, value=value), TrialEnd(state, epochs if claim.attempt > 1 else None)
        )

    def _write_if_claimed(self, claim: Claim, changes: PendingWrites, end: TrialEnd | None = None) -> None:
        held = ClaimKey(claim.trial_id, self.worker.worker_id, claim.attempt)
        is_postgresql = self.database.engine.dialect.name == "postgresql"
        write, run = (
            (write_if_claimed_postgresql, self.database.run_one)
            if is_postgresql
            else (write_if_claimed, self.database.run)
        )
        try:
            is_held = run(lambda connection: write(connection, held, changes, end))
        except exc.IntegrityError:
            # Its trials may be deleted while this is written.
            self.require_study()
            raise
        if not is_held:
            self.require_study()
            raise ClaimLostError(
                f"trial {claim.number} was taken by another worker, since nothing was heard of this one for "
                f"{self.worker.lost_after_seconds:g} seconds: going on with another trial"
            )

    def release(self, claim: Claim, changes: PendingWrites) -> None:
        """Let a trial wait for whichever worker is free; nothing happens if it is another one's by now."""

        def work(connection: sa.Connection) -> None:
            mine = (CLAIMS.c.trial_id == claim.trial_id) & (CLAIMS.c.worker_id == self.worker.worker_id)
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
