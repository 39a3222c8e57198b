"""The trials of a study as rows of a table."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from optuna.trial import FrozenTrial

from spaces.parameters import Scalar
from studies.database.errors import translate_errors
from studies.database.lookup import open_study, resolve_study
from studies.database.open_study import OpenStudy
from studies.database.stored_trials import STATES, outcome_of, params_of
from studies.database.tables import CLAIMS, WORKERS


@dataclass(frozen=True)
class TrialSummary:
    """One trial as `search trials` lists it.

    Args:
        number: Its number.
        state: `complete`, `pruned`, `failed`, `waiting` or `running`.
        value: Its best epoch's metric, or None.
        epoch: That epoch, counted from 1, or None.
        epochs: Epochs that were trained.
        seconds: How long it took, or None.
        reason: Why it was pruned or failed; empty when complete.
        params: Its parameters by dotted name.
        path: What it was trained on: `images`, `features` or `cached views`; empty while it has not ended.
        host: The machine that evaluates it, or has evaluated it; empty where that is not known.
        attempts: How often a worker has taken it: more than once after workers were lost; 0 where that is not known.
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


def summarize_trials(name_or_folder: str, output: Path, storage: str | None = None) -> list[TrialSummary]:
    """List the trials of a study, in order.

    Args:
        name_or_folder: Name of the study, or its folder.
        output: Folder of all studies.
        storage: URL of the database; None takes `study.db` in the study's folder.

    Raises:
        StudyError: There is no such study, or its database cannot be used.
    """
    found = open_study(resolve_study(name_or_folder, output, storage))
    with translate_errors(found.url):
        claims = read_claims(found)
        return [_row(trial, *claims.get(trial._trial_id, ("", 0))) for trial in found.study.get_trials(deepcopy=False)]


def _row(trial: FrozenTrial, host: str, attempts: int) -> TrialSummary:
    outcome = outcome_of(trial)
    return TrialSummary(
        number=trial.number,
        state=STATES[trial.state],
        value=outcome.value if outcome else trial.value,
        epoch=outcome.epoch if outcome else None,
        epochs=outcome.epochs if outcome else len(trial.intermediate_values),
        seconds=outcome.seconds if outcome else None,
        reason=outcome.reason if outcome else "",
        params=params_of(trial),
        trained_on=outcome.trained_on if outcome else "",
        host=host,
        attempts=attempts,
    )


def read_claims(found: OpenStudy) -> dict[int, tuple[str, int]]:
    """By the id of a trial: the host of the worker that has it or had it last, and how often it was taken."""
    if not found.created_by_search:
        return {}
    joined = sa.outerjoin(CLAIMS, WORKERS, CLAIMS.c.worker_id == WORKERS.c.worker_id)
    query = sa.select(CLAIMS.c.trial_id, WORKERS.c.host, CLAIMS.c.attempt).select_from(joined)
    rows = found.database.read(
        lambda connection: connection.execute(query.where(CLAIMS.c.study_id == found.study_id)).all()
    )
    return {row.trial_id: (row.host or "", row.attempt) for row in rows}
