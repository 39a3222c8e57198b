"""Lists the studies of a database, in a fixed number of statements."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from optuna.storages._rdb import models
from optuna.study import StudyDirection
from optuna.trial import TrialState

from studies.database.errors import translate_errors
from studies.database.identities import identities
from studies.database.lookup import RETRY_TIMEOUT, open_database
from studies.database.lost_workers import is_alive
from studies.database.optuna_tables import TRIALS, VALUES
from studies.database.stored_trials import STATES
from studies.database.tables import STUDIES, WORKERS
from studies.database.transactions import Database
from studies.database.urls import redact_url

OPTUNA_STUDY: Any = models.StudyModel.__table__
DIRECTIONS: Any = models.StudyDirectionModel.__table__


@dataclass(frozen=True)
class StudySummary:
    """One study as `search status` lists it.

    Args:
        name: Name of the study.
        storage: URL of its database, without a password.
        trials: Trial budget; None if search did not create the study.
        states: Number of trials by state.
        best: Best value of a complete trial, or None; always None with several objectives.
        alive: Number of live workers.
    """

    name: str
    storage: str
    trials: int | None
    states: Mapping[str, int]
    best: float | None
    alive: int


def list_studies(url: str) -> list[StudySummary]:
    """Return the studies of a database, ordered by name.

    Raises:
        StudyError: The database cannot be used, has no studies, or has another schema version.
    """
    storage, has_own_tables = open_database(url)
    database = Database(storage.engine, retry_timeout=lambda: RETRY_TIMEOUT)
    with translate_errors(url):
        return database.read(lambda connection: _rows(connection, redact_url(url), has_own_tables=has_own_tables))


def _rows(connection: sa.Connection, storage: str, *, has_own_tables: bool) -> list[StudySummary]:
    states = _states(connection)
    best = _best(connection)
    own = identities(connection) if has_own_tables else {}
    budgets = _by_study(connection, sa.select(STUDIES.c.study_id, STUDIES.c.trial_budget)) if own else {}
    alive = _by_study(connection, _alive()) if own else {}
    studies = connection.execute(
        sa.select(OPTUNA_STUDY.c.study_id, OPTUNA_STUDY.c.study_name).order_by(OPTUNA_STUDY.c.study_name)
    )
    return [
        StudySummary(
            name,
            storage,
            # A deleted study may have left rows with the same id.
            budgets.get(key) if key in own else None,
            states.get(key, {}),
            best.get(key),
            alive.get(key, 0) if key in own else 0,
        )
        for key, name in studies
    ]


def _states(connection: sa.Connection) -> Mapping[int, dict[str, int]]:
    count = sa.func.count()
    query = sa.select(TRIALS.c.study_id, TRIALS.c.state, count).group_by(TRIALS.c.study_id, TRIALS.c.state)
    found: dict[int, dict[str, int]] = defaultdict(dict)
    for study_id, state, trials in connection.execute(query):
        found[study_id][STATES[state]] = trials
    return found


def _best(connection: sa.Connection) -> dict[int, float]:
    is_best = sa.case(
        (DIRECTIONS.c.direction == StudyDirection.MAXIMIZE, sa.func.max(VALUES.c.value)),
        else_=sa.func.min(VALUES.c.value),
    )
    joined = sa.join(TRIALS, VALUES, TRIALS.c.trial_id == VALUES.c.trial_id)
    joined = sa.join(joined, DIRECTIONS, DIRECTIONS.c.study_id == TRIALS.c.study_id)
    query = sa.select(TRIALS.c.study_id, is_best).select_from(joined).where(TRIALS.c.state == TrialState.COMPLETE)
    # With several objectives there is no best trial.
    with_one = sa.select(DIRECTIONS.c.study_id).group_by(DIRECTIONS.c.study_id).having(sa.func.count() == 1)
    query = query.where(TRIALS.c.study_id.in_(with_one))
    return _by_study(connection, query.group_by(TRIALS.c.study_id, DIRECTIONS.c.direction))


def _alive() -> Any:
    return sa.select(WORKERS.c.study_id, sa.func.count()).where(is_alive()).group_by(WORKERS.c.study_id)


def _by_study(connection: sa.Connection, query: Any) -> dict[int, Any]:
    return {study_id: value for study_id, value in connection.execute(query)}
