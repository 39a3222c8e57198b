"""Claims trials so that each is evaluated once, and writes the results of claimed trials."""

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
from studies.database.trial_writes import Claim, PendingWrites, TrialEnd, write_if_claimed
from studies.database.workers import WorkerRegistration, record_heartbeat


class ClaimLostError(SearchError):
    """This worker counted as lost, and another one has claimed its trial."""


@dataclass(frozen=True)
class NoTrialLeft:
    """There is no trial to claim: all are finished (`study_finished`), or other workers evaluate the last ones."""

    study_finished: bool


@dataclass(frozen=True)
class TrialQueue:
    """The trials of a study, for one of its workers.

    Args:
        database: The database.
        worker: The worker.
        assignments: Initial assignments, by trial number.
        max_retries: Number of times that a trial is retried after a crash without a further epoch; then it fails.
    """

    database: Database
    worker: WorkerRegistration
    assignments: Sequence[Mapping[str, Scalar]] = ()
    max_retries: int = 2

    def claim(self, max_trials: float = math.inf) -> Claim | NoTrialLeft:
        """Claim a waiting trial, or create one while the study has fewer trials than its budget.

        Args:
            max_trials: Number of distinct trials that the space allows; the study ends with the last of them.
        """
        claim_token, tries = str(uuid.uuid4()), itertools.count()
        return self.database.run(
            lambda connection: self._claim_trial(connection, claim_token, max_trials, is_retry=next(tries) > 0)
        )

    def _claim_trial(
        self, connection: sa.Connection, claim_token: str, max_trials: float, *, is_retry: bool
    ) -> Claim | NoTrialLeft:
        study_id = self.worker.study_id
        if connection.dialect.name == "postgresql":
            # Other workers wait for this commit. If a server crash loses it, the trial is unclaimed again, and this
            # worker notices when it writes.
            connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
        # One worker at a time, since the trials are counted here. Optuna locks the second row when it creates a
        # trial. SQLite runs one transaction at a time anyway.
        both = sa.join(STUDIES, OPTUNA_STUDIES, STUDIES.c.study_id == OPTUNA_STUDIES.c.study_id)
        query = sa.select(STUDIES.c.trial_budget).select_from(both).where(STUDIES.c.study_id == study_id)
        trial_budget = connection.scalar(query.where(is_employed(self.worker.worker_id)).with_for_update())
        if trial_budget is None:
            raise StudyDeletedError
        if is_retry and (own := self._claimed_before(connection, claim_token, trial_budget)) is not None:
            return own
        record_heartbeat(connection, self.worker)
        counts = _counts(connection, study_id)
        if not _is_any_free(counts, trial_budget):
            mark_lost_workers(connection, study_id)
            requeue_orphaned_trials(connection, study_id)
            counts = _counts(connection, study_id)
        if counts[TrialState.WAITING] and fail_crashing_trials(connection, study_id, self.max_retries):
            counts = _counts(connection, study_id)
        if not _is_any_free(counts, trial_budget):
            return NoTrialLeft(study_finished=_ended(counts) >= trial_budget)
        if counts[TrialState.WAITING]:
            claimed = self._claim_waiting(connection, claim_token)
            own = Claim(*claimed, trial_budget, self.worker.worker_id) if claimed else None
            return own or NoTrialLeft(study_finished=False)
        if sum(counts.values()) >= max_trials:
            return self._nothing_left(connection, counts)
        created = self._create(connection, sum(counts.values()), claim_token)
        return Claim(*created, trial_budget, self.worker.worker_id)

    def _nothing_left(self, connection: sa.Connection, counts: Mapping[TrialState, int]) -> NoTrialLeft:
        """Return that no new trial can differ from the existing ones; the study ends with the last of them."""
        if counts[TrialState.RUNNING]:
            return NoTrialLeft(study_finished=False)
        row = sa.update(STUDIES).where(STUDIES.c.study_id == self.worker.study_id)
        connection.execute(row.values(trial_budget=_ended(counts)))
        return NoTrialLeft(study_finished=True)

    def trial_budget(self) -> int:
        """Return the number of trials of the study, which may grow while it runs."""
        query = sa.select(STUDIES.c.trial_budget).where(STUDIES.c.study_id == self.worker.study_id)
        return self.database.read(lambda connection: connection.scalar(query)) or 0

    def require_study(self) -> None:
        """Check that the worker's study still exists.

        Raises:
            StudyDeletedError: It has been deleted.
        """
        query = sa.select(is_employed(self.worker.worker_id))
        if not self.database.read(lambda connection: connection.scalar(query)):
            raise StudyDeletedError

    def _claimed_before(self, connection: sa.Connection, claim_token: str, trial_budget: int) -> Claim | None:
        """Return the claim of an earlier try of this transaction whose answer was lost."""
        joined = sa.join(CLAIMS, TRIALS, CLAIMS.c.trial_id == TRIALS.c.trial_id)
        query = sa.select(CLAIMS.c.trial_id, TRIALS.c.number, CLAIMS.c.attempt).select_from(joined)
        query = query.where(CLAIMS.c.claim_token == claim_token, CLAIMS.c.study_id == self.worker.study_id)
        found = connection.execute(query).one_or_none()
        return Claim(*found, trial_budget, self.worker.worker_id) if found else None

    def _claim_waiting(self, connection: sa.Connection, claim_token: str) -> tuple[int, int, int] | None:
        """Claim the first waiting trial; None if another Optuna program has started all of them."""
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
                row = self._claim_row(trial_id, claim_token, attempt)
                row |= {"epochs_at_claim": epochs, "crash_count": found.crash_count or 0}
                upsert(connection, CLAIMS, [row], keys=("trial_id",))
                return trial_id, found.number, attempt
            tried.append(trial_id)
        return None

    def _create(self, connection: sa.Connection, number: int, claim_token: str) -> tuple[int, int, int]:
        study_id = self.worker.study_id
        row = {"study_id": study_id, "number": number, "state": TrialState.RUNNING, "datetime_start": now_utc()}
        created = connection.execute(sa.insert(TRIALS).values(row)).inserted_primary_key
        trial_id = int(created[0]) if created else 0
        if number < len(self.assignments):
            PendingWrites(system_attrs={"fixed_params": dict(self.assignments[number])}).write(connection, trial_id)
        upsert(connection, CLAIMS, [self._claim_row(trial_id, claim_token, 1)], keys=("trial_id",))
        _forget_epochs(connection, trial_id)
        return trial_id, number, 1

    def _claim_row(self, trial_id: int, claim_token: str, attempt: int) -> dict[str, Any]:
        return {
            "trial_id": trial_id,
            "study_id": self.worker.study_id,
            "worker_id": self.worker.worker_id,
            "attempt": attempt,
            "claim_token": claim_token,
            "last_write_at": 0.0,
            "epochs_at_claim": 0,
            "crash_count": 0,
        }

    def finish(self, claim: Claim, changes: PendingWrites, state: TrialState, value: float | None, epochs: int) -> None:
        """Write the end of a trial and its pending changes.

        Args:
            claim: Claim of the trial.
            changes: Pending changes.
            state: A finished state.
            value: Value of the trial, or None.
            epochs: Number of its epochs; later epochs of an earlier attempt are deleted.

        Raises:
            ClaimLostError: Another worker has claimed the trial.
        """
        if claim.attempt > 1:
            changes = replace(changes, epochs={n: each for n, each in changes.epochs.items() if n <= epochs})
        self.save(claim, replace(changes, value=value), TrialEnd(state, epochs if claim.attempt > 1 else None))

    def save(self, claim: Claim, changes: PendingWrites, end: TrialEnd | None = None) -> None:
        """Write changes of a claimed trial, and possibly its end.

        Raises:
            ClaimLostError: Another worker has claimed the trial.
            StudyDeletedError: The study has been deleted.
        """
        is_postgresql = self.database.engine.dialect.name == "postgresql"
        write, run = (
            (write_if_claimed_postgresql, self.database.run_one)
            if is_postgresql
            else (write_if_claimed, self.database.run)
        )
        try:
            is_claimed_here = run(lambda connection: write(connection, claim, changes, end))
        except exc.IntegrityError:
            # The study may be deleted meanwhile.
            self.require_study()
            raise
        if not is_claimed_here:
            self.require_study()
            raise ClaimLostError(
                f"lost the claim on trial {claim.number} after {self.worker.lost_after_seconds:g} s "
                "without a heartbeat; continuing with another trial"
            )

    def release(self, claim: Claim, changes: PendingWrites) -> None:
        """Return a trial to the queue, unless another worker has claimed it."""

        def work(connection: sa.Connection) -> None:
            own = (CLAIMS.c.trial_id == claim.trial_id) & (CLAIMS.c.worker_id == self.worker.worker_id)
            release = sa.update(CLAIMS).where(own, CLAIMS.c.attempt == claim.attempt, is_of_its_study())
            if connection.execute(release.values(worker_id=None)).rowcount:
                changes.write(connection, claim.trial_id)
                running = (TRIALS.c.trial_id == claim.trial_id) & (TRIALS.c.state == TrialState.RUNNING)
                connection.execute(sa.update(TRIALS).where(running).values(state=TrialState.WAITING))

        self.database.run(work)


def _forget_epochs(connection: sa.Connection, trial_id: int) -> None:
    """Delete the epochs of an earlier trial with this id, of a deleted study."""
    connection.execute(sa.delete(EPOCHS).where(EPOCHS.c.trial_id == trial_id))


def is_claimed(database: Database, trial_id: int) -> bool:
    """Return True if any worker has ever claimed a trial."""
    query = sa.select(sa.func.count()).where(CLAIMS.c.trial_id == trial_id)
    return bool(database.read(lambda connection: connection.scalar(query)))


def _counts(connection: sa.Connection, study_id: int) -> dict[TrialState, int]:
    query = sa.select(TRIALS.c.state, sa.func.count()).where(TRIALS.c.study_id == study_id).group_by(TRIALS.c.state)
    found = {state: count for state, count in connection.execute(query)}
    return {state: found.get(state, 0) for state in TrialState}


def _ended(counts: Mapping[TrialState, int]) -> int:
    return sum(counts[state] for state in FINISHED)


def _is_any_free(counts: Mapping[TrialState, int], trial_budget: int) -> bool:
    """Return True if a trial can be claimed; trials enqueued beyond the budget do not count."""
    return _ended(counts) + counts[TrialState.RUNNING] < trial_budget
