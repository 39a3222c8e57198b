"""Trials that take their workers with them: how often it happened is counted, and at last they fail."""

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
    """The whole epochs of a claimed trial at this moment, as a subquery."""
    return sa.select(sa.func.count()).where(EPOCHS.c.trial_id == CLAIMS.c.trial_id).scalar_subquery()


def crash_count(one_more: int = 0) -> Any:
    """How many workers in a row were lost with a claimed trial before they had finished one more epoch of it."""
    return sa.case((finished_epochs() > CLAIMS.c.epochs_at_claim, 0), else_=CLAIMS.c.crash_count + one_more)


@dataclass(frozen=True)
class Requeued:
    """A trial that waits for another worker.

    Args:
        was_counted: Its worker was counted as lost with it.
        epochs: The whole epochs that it had when that worker took it.
    """

    was_counted: bool
    epochs: int


def requeue_trial(
    connection: sa.Connection, trial_id: int, worker_id: str | None, *, is_loss: bool, waits: bool = True
) -> Requeued | None:
    """Let a trial wait for whichever worker is free, if it runs and that worker still holds it.

    Args:
        connection: Inside a transaction.
        trial_id: The trial.
        worker_id: The worker that holds it; None for a trial that runs and is held by none of ours.
        is_loss: The worker was lost with it; it counts where it had finished no new epoch.
        waits: Wait for a worker that is writing about the trial at this moment; else leave it alone.

    Returns:
        What became of it, or None if it was left alone.
    """
    is_held = (CLAIMS.c.trial_id == trial_id) & CLAIMS.c.worker_id.is_not_distinct_from(worker_id)
    query = sa.select(CLAIMS.c.crash_count, CLAIMS.c.epochs_at_claim).where(is_held)
    # The claim first, as those lock it who write about the trial: what they wrote is seen then.
    claim = connection.execute(query.with_for_update(skip_locked=not waits)).one_or_none()
    if claim is None and worker_id is not None:
        return None
    is_running = (TRIALS.c.trial_id == trial_id) & (TRIALS.c.state == TrialState.RUNNING)
    if not connection.execute(sa.update(TRIALS).where(is_running).values(state=TrialState.WAITING)).rowcount:
        return Requeued(was_counted=False, epochs=0)
    if claim is None:
        return Requeued(was_counted=False, epochs=0)
    connection.execute(sa.update(CLAIMS).where(is_held).values(worker_id=None, crash_count=crash_count(int(is_loss))))
    losses = connection.scalar(sa.select(CLAIMS.c.crash_count).where(CLAIMS.c.trial_id == trial_id))
    return Requeued(losses == claim.crash_count + 1, claim.epochs_at_claim)


def uncount_crash(connection: sa.Connection, trial_id: int, epochs: int) -> None:
    """Take back that a worker was counted as lost with a trial, unless that does not count any more.

    Args:
        connection: Inside a transaction.
        trial_id: The trial.
        epochs: The whole epochs that it had when that worker took it.
    """
    counts = (CLAIMS.c.trial_id == trial_id) & (CLAIMS.c.epochs_at_claim == epochs) & (CLAIMS.c.crash_count > 0)
    connection.execute(sa.update(CLAIMS).where(counts).values(crash_count=CLAIMS.c.crash_count - 1))


def fail_crashing_trials(connection: sa.Connection, study_id: int, retries: int) -> bool:
    """End the waiting trials with which more workers were lost than are to be; returns whether there was one.

    Args:
        connection: Inside a transaction, alone at taking trials of the study.
        study_id: The study.
        retries: How many workers may take a trial after the first one was lost with it.
    """
    joined = sa.join(TRIALS, CLAIMS, is_of_trial())
    query = sa.select(
        TRIALS.c.trial_id, TRIALS.c.number, crash_count().label("crash_count"), finished_epochs().label("epochs")
    )
    waiting = (TRIALS.c.study_id == study_id) & (TRIALS.c.state == TrialState.WAITING)
    deadly = connection.execute(query.select_from(joined).where(waiting, crash_count() > retries)).all()
    for trial in deadly:
        reason = f"its worker died {trial.crash_count} times in a row, without finishing one more epoch"
        LOG.warning("trial %d failed: %s", trial.number, reason)
        outcome = TrialOutcome(FAILED, None, None, trial.epochs, 0.0, reason)
        still = (TRIALS.c.trial_id == trial.trial_id) & (TRIALS.c.state == TrialState.WAITING)
        end = sa.update(TRIALS).where(still).values(state=TrialState.FAIL, datetime_complete=now_utc())
        if connection.execute(end).rowcount:
            PendingWrites(user_attrs={OUTCOME: asdict(outcome)}).write(connection, trial.trial_id)
    return bool(deadly)
