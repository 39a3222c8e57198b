"""Trials that take their workers with them: how often it happened is counted, and at last they fail."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from optuna.trial import TrialState

from studies.database.changes import Changes
from studies.database.identities import is_of_trial
from studies.database.reading import TRIALS, now_utc
from studies.database.tables import CLAIMS, EPOCHS
from studies.events import FAILED
from studies.trials import OUTCOME, Outcome

LOG = logging.getLogger(__name__)


def epochs_now() -> Any:
    """The whole epochs of a claimed trial at this moment, as a subquery."""
    return sa.select(sa.func.count()).where(EPOCHS.c.trial_id == CLAIMS.c.trial_id).scalar_subquery()


def losses_now(one_more: int = 0) -> Any:
    """How many workers in a row were lost with a claimed trial before they had finished one more epoch of it."""
    return sa.case((epochs_now() > CLAIMS.c.epochs, 0), else_=CLAIMS.c.losses + one_more)


def let_wait(connection: sa.Connection, trial_ids: Sequence[int], *, is_loss: bool) -> None:
    """Let running trials wait for whichever worker is free.

    Args:
        connection: Inside a transaction.
        trial_ids: The trials.
        is_loss: Their workers were lost with them; it counts where they had finished no new epoch.
    """
    if trial_ids:
        held = sa.update(CLAIMS).where(CLAIMS.c.trial_id.in_(trial_ids))
        connection.execute(held.values(worker_id=None, losses=losses_now(int(is_loss))))
        connection.execute(sa.update(TRIALS).where(TRIALS.c.trial_id.in_(trial_ids)).values(state=TrialState.WAITING))


def fail_deadly(connection: sa.Connection, study_id: int, retries: int) -> bool:
    """End the waiting trials with which more workers were lost than are to be; returns whether there was one.

    Args:
        connection: Inside a transaction, alone at taking trials of the study.
        study_id: The study.
        retries: How many workers may take a trial after the first one was lost with it.
    """
    joined = sa.join(TRIALS, CLAIMS, is_of_trial())
    query = sa.select(TRIALS.c.trial_id, TRIALS.c.number, losses_now().label("losses"), epochs_now().label("epochs"))
    waiting = (TRIALS.c.study_id == study_id) & (TRIALS.c.state == TrialState.WAITING)
    deadly = connection.execute(query.select_from(joined).where(waiting, losses_now() > retries)).all()
    for trial in deadly:
        reason = f"its worker died {trial.losses} times in a row, without finishing one more epoch"
        LOG.warning("trial %d failed: %s", trial.number, reason)
        outcome = Outcome(FAILED, None, None, trial.epochs, 0.0, reason)
        Changes(user_attrs={OUTCOME: asdict(outcome)}).write(connection, trial.trial_id)
        end = sa.update(TRIALS).where(TRIALS.c.trial_id == trial.trial_id)
        connection.execute(end.values(state=TrialState.FAIL, datetime_complete=now_utc()))
    return bool(deadly)
