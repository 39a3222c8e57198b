"""Counts the crashes of workers per trial, requeues trials, and fails those that crash too often."""

import logging
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
from optuna.trial import TrialState

from studies.database.identities import is_of_trial
from studies.database.optuna_tables import TRIALS, now_utc
from studies.database.stored_trials import OUTCOME
from studies.database.tables import CLAIMS, EPOCHS
from studies.database.trial_writes import PendingWrites
from studies.outcome import FAILED, TrialOutcome

LOG = logging.getLogger(__name__)


def finished_epochs() -> Any:
    """Return a subquery for the number of finished epochs of a claimed trial."""
    return sa.select(sa.func.count()).where(EPOCHS.c.trial_id == CLAIMS.c.trial_id).scalar_subquery()


def crash_count(one_more: int = 0) -> Any:
    """Return the SQL expression for the number of crashes in a row of a claimed trial without a further epoch."""
    return sa.case((finished_epochs() > CLAIMS.c.epochs_at_claim, 0), else_=CLAIMS.c.crash_count + one_more)


@dataclass(frozen=True)
class Requeued:
    """A requeued trial.

    Args:
        was_counted: True if its crash count was raised.
        epochs: Finished epochs at the time of the claim.
    """

    was_counted: bool
    epochs: int


def requeue_trial(
    connection: sa.Connection, trial_id: int, worker_id: str | None, *, is_crash: bool, waits: bool = True
) -> Requeued | None:
    """Requeue a running trial if it is still claimed by that worker.

    Args:
        connection: Inside a transaction.
        trial_id: The trial.
        worker_id: The worker that has claimed it; None for a running trial without a claim.
        is_crash: True if the worker crashed; counted if it had finished no further epoch.
        waits: True to wait for a worker that is writing the trial now; False to skip the trial, and return None.
    """
    is_claimed = (CLAIMS.c.trial_id == trial_id) & CLAIMS.c.worker_id.is_not_distinct_from(worker_id)
    query = sa.select(CLAIMS.c.crash_count, CLAIMS.c.epochs_at_claim).where(is_claimed)
    # The claim is locked first, as by every writer of the trial, so that its last writes are visible.
    claim = connection.execute(query.with_for_update(skip_locked=not waits)).one_or_none()
    if claim is None and worker_id is not None:
        return None
    is_running = (TRIALS.c.trial_id == trial_id) & (TRIALS.c.state == TrialState.RUNNING)
    requeued = connection.execute(sa.update(TRIALS).where(is_running).values(state=TrialState.WAITING)).rowcount
    if not requeued or claim is None:
        return Requeued(was_counted=False, epochs=0)
    connection.execute(
        sa.update(CLAIMS).where(is_claimed).values(worker_id=None, crash_count=crash_count(int(is_crash)))
    )
    crashes = connection.scalar(sa.select(CLAIMS.c.crash_count).where(CLAIMS.c.trial_id == trial_id))
    return Requeued(crashes == claim.crash_count + 1, claim.epochs_at_claim)


def uncount_crash(connection: sa.Connection, trial_id: int, epochs: int) -> None:
    """Undo a crash that was counted for a trial claimed after that many `epochs`, unless it has been reset since."""
    counts = (CLAIMS.c.trial_id == trial_id) & (CLAIMS.c.epochs_at_claim == epochs) & (CLAIMS.c.crash_count > 0)
    connection.execute(sa.update(CLAIMS).where(counts).values(crash_count=CLAIMS.c.crash_count - 1))


def fail_crashing_trials(connection: sa.Connection, study_id: int, max_retries: int) -> bool:
    """Fail waiting trials with more crashes than retries; returns True if there was one. The study is locked."""
    joined = sa.join(TRIALS, CLAIMS, is_of_trial())
    query = sa.select(
        TRIALS.c.trial_id, TRIALS.c.number, crash_count().label("crash_count"), finished_epochs().label("epochs")
    )
    waiting = (TRIALS.c.study_id == study_id) & (TRIALS.c.state == TrialState.WAITING)
    crashing = connection.execute(query.select_from(joined).where(waiting, crash_count() > max_retries)).all()
    for trial in crashing:
        workers = f"{trial.crash_count} worker{'' if trial.crash_count == 1 else 's'}"
        reason = f"{workers} crashed on it without completing an epoch"
        LOG.warning("trial %d failed: %s", trial.number, reason)
        outcome = TrialOutcome(FAILED, None, None, trial.epochs, 0.0, reason)
        still = (TRIALS.c.trial_id == trial.trial_id) & (TRIALS.c.state == TrialState.WAITING)
        end = sa.update(TRIALS).where(still).values(state=TrialState.FAIL, datetime_complete=now_utc())
        if connection.execute(end).rowcount:
            PendingWrites(user_attrs={OUTCOME: asdict(outcome)}).write(connection, trial.trial_id)
    return bool(crashing)
