"""Reads the trials of a study as rows of a table."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from optuna.trial import FrozenTrial

from spaces.parameters import Scalar
from studies.database.errors import translate_errors
from studies.database.lookup import open_study, resolve_study
from studies.database.open_study import OpenStudy
from studies.database.stored_trials import outcome_as_far_as_known, outcome_of, params_of
from studies.database.tables import CLAIMS, WORKERS


@dataclass(frozen=True)
class TrialSummary:
    """One trial as `search trials` lists it.

    Args:
        number: Number of the trial.
        state: `complete`, `pruned`, `failed`, `waiting` or `running`.
        value: Metric of its best epoch, or None.
        epoch: Best epoch, counted from 1, or None.
        epochs: Number of trained epochs.
        seconds: Duration in seconds, or None.
        reason: Reason for which it was pruned or failed; empty if complete.
        params: Parameters by dotted name.
        trained_on: `images`, `features` or `cached views`; empty while it is not finished.
        host: Host of its worker; empty if unknown.
        attempts: Number of times that it was claimed; 0 if unknown.
    """

    number: int
    state: str
    value: float | None
    epoch: int | None
    epochs: int
    seconds: float | None
    reason: str
    params: Mapping[str, Scalar]
    trained_on: str = ""
    host: str = ""
    attempts: int = 0


def summarize_trials(name_or_folder: str, runs: Path, storage: str | None = None) -> list[TrialSummary]:
    """Return the trials of a study, in order; the arguments are those of `resolve_study`.

    Raises:
        StudyError: The study was not found, or its database cannot be used.
    """
    study = open_study(resolve_study(name_or_folder, runs, storage))
    with translate_errors(study.url):
        claims = _read_claims(study)
        return [_row(trial, *claims.get(trial._trial_id, ("", 0))) for trial in study.study.get_trials(deepcopy=False)]


def _row(trial: FrozenTrial, host: str, attempts: int) -> TrialSummary:
    outcome = outcome_as_far_as_known(trial)
    return TrialSummary(
        number=trial.number,
        state=outcome.state,
        value=outcome.value,
        epoch=outcome.epoch,
        epochs=outcome.epochs,
        seconds=outcome.seconds if outcome_of(trial) else None,
        reason=outcome.reason,
        params=params_of(trial),
        trained_on=outcome.trained_on,
        host=host,
        attempts=attempts,
    )


def _read_claims(study: OpenStudy) -> dict[int, tuple[str, int]]:
    """Return the host of the last worker and the number of attempts, by trial id."""
    if not study.created_by_search:
        return {}
    joined = sa.outerjoin(CLAIMS, WORKERS, CLAIMS.c.worker_id == WORKERS.c.worker_id)
    query = sa.select(CLAIMS.c.trial_id, WORKERS.c.host, CLAIMS.c.attempt).select_from(joined)
    rows = study.database.read(
        lambda connection: connection.execute(query.where(CLAIMS.c.study_id == study.study_id)).all()
    )
    return {row.trial_id: (row.host or "", row.attempt) for row in rows}
