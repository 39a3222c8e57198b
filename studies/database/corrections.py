"""Restarts a study whose space, images or settings were changed before any trial was evaluated."""

from typing import Any

import optuna
import sqlalchemy as sa
from optuna.trial import FrozenTrial, TrialState

from spaces.errors import StudyError
from spaces.space import Space, baseline
from studies.database.local_process import is_gone, machine
from studies.database.lost_workers import is_alive
from studies.database.optuna_tables import read_trials
from studies.database.tables import CLAIMS, WORKERS


def can_be_corrected(storage: optuna.storages.RDBStorage, study: optuna.Study) -> bool:
    """Return True if no trial of a study has been evaluated, so that a restart loses nothing.

    Raises:
        StudyError: Workers are running.
    """
    with storage.engine.begin() as connection:
        trials = read_trials(connection, study._study_id)
        if any(_is_evaluated(trial) for trial in trials):
            return False
        query = sa.select(WORKERS.c.pid, WORKERS.c.process_start, WORKERS.c.machine)
        rows = connection.execute(query.where(WORKERS.c.study_id == study._study_id, is_alive())).all()
    alive = sum(row.machine != machine() or not is_gone(row.pid, row.process_start) for row in rows)
    if alive:
        workers = f"{alive} worker{'' if alive == 1 else 's'}"
        raise StudyError(
            f"study {study.study_name!r} has {workers} running with the previous version\n"
            f"hint: run `search stop {study.study_name}`, then the same command again"
        )
    return True


def start_again(storage: optuna.storages.RDBStorage, study: optuna.Study, space: Space, direction: Any) -> optuna.Study:
    """Delete a study of which no trial has been evaluated, and create it again with the enqueued trials.

    Those that a worker has claimed are left out. It gets a new identity, so that checkpoints and late workers of the
    old one do not touch it.
    """
    name, enqueued = study.study_name, _enqueued(storage, study)
    own = {key: value for key, value in study.user_attrs.items() if not key.startswith("search:")}
    optuna.delete_study(study_name=name, storage=storage)
    new = optuna.create_study(study_name=name, storage=storage, direction=direction)
    for key, value in own.items():
        new.set_user_attr(key, value)
    if enqueued:
        # Trial 0 is the baseline.
        new.enqueue_trial(baseline(space))
    for trial in enqueued:
        new.enqueue_trial({**trial.params, **trial.system_attrs.get("fixed_params", {})}, trial.user_attrs)
    return new


def _is_evaluated(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.COMPLETE or (trial.state == TrialState.PRUNED and trial.values is not None)


def _enqueued(storage: optuna.storages.RDBStorage, study: optuna.Study) -> list[FrozenTrial]:
    """Return the enqueued trials that no worker has claimed."""
    with storage.engine.begin() as connection:
        claimed = set(connection.scalars(sa.select(CLAIMS.c.trial_id).where(CLAIMS.c.study_id == study._study_id)))
        trials = read_trials(connection, study._study_id)
    return [trial for trial in trials if trial.state == TrialState.WAITING and trial._trial_id not in claimed]
