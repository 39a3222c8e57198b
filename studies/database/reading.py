"""Reads Optuna's trials in few statements."""

import datetime
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import optuna
import sqlalchemy as sa
from optuna.distributions import BaseDistribution
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState

TRIALS: Any = models.TrialModel.__table__
PARAMS: Any = models.TrialParamModel.__table__
VALUES: Any = models.TrialValueModel.__table__
STEPS: Any = models.TrialIntermediateValueModel.__table__
USER_ATTRIBUTES: Any = models.TrialUserAttributeModel.__table__
SYSTEM_ATTRIBUTES: Any = models.TrialSystemAttributeModel.__table__
_MOST_IDS = 500

_stored_value = models.TrialValueModel.stored_repr_to_value
_stored_step = models.TrialIntermediateValueModel.stored_repr_to_intermediate_value


def read_trials(
    connection: sa.Connection, study_id: int, *, after: int = -1, among: Collection[int] = ()
) -> list[FrozenTrial]:
    """The trials of a study, by number.

    Args:
        connection: Inside a transaction.
        study_id: The study.
        after: Only trials with a larger id, and those of `among`.
        among: Ids of trials that are wanted too.
    """
    columns = [TRIALS.c.trial_id, TRIALS.c.number, TRIALS.c.state, TRIALS.c.datetime_start, TRIALS.c.datetime_complete]
    query = sa.select(*columns).where(TRIALS.c.study_id == study_id)
    first, *further = _chunks([trial_id for trial_id in among if trial_id <= after]) or [()]
    rows = list(connection.execute(query.where(sa.or_(TRIALS.c.trial_id > after, TRIALS.c.trial_id.in_(first)))))
    for ids in further:
        rows += connection.execute(query.where(TRIALS.c.trial_id.in_(ids)))
    details = _Details(connection, [row.trial_id for row in rows], is_all=after < 0, study_id=study_id)
    return sorted((_frozen(row, details) for row in rows), key=lambda trial: trial.number)


class _Details:
    """What hangs on some trials, by their ids."""

    def __init__(self, connection: sa.Connection, ids: Sequence[int], *, is_all: bool, study_id: int) -> None:
        # Of a whole study they are found by a join; of a few trials by their ids.
        chunks: list[Any] = [sa.select(TRIALS.c.trial_id).where(TRIALS.c.study_id == study_id)]
        self._wanted = chunks if is_all else _chunks(ids)
        self._connection = connection
        self.params = self._by_trial(PARAMS, "param_id")
        self.values = self._by_trial(VALUES, "objective")
        self.steps = self._by_trial(STEPS, "step")
        self.user_attrs = self._by_trial(USER_ATTRIBUTES)
        self.system_attrs = self._by_trial(SYSTEM_ATTRIBUTES)

    def _by_trial(self, table: Any, order: str | None = None) -> Mapping[int, list[Any]]:
        found: dict[int, list[Any]] = defaultdict(list)
        for wanted in self._wanted:
            query = sa.select(table).where(table.c.trial_id.in_(wanted))
            for row in self._connection.execute(query.order_by(table.c[order]) if order else query):
                found[row.trial_id].append(row)
        return found


def _frozen(row: Any, details: _Details) -> FrozenTrial:
    params = details.params.get(row.trial_id, [])
    distributions = {each.param_name: _distribution(each.distribution_json) for each in params}
    values = [_stored_value(each.value, each.value_type) for each in details.values.get(row.trial_id, [])]
    return FrozenTrial(
        number=row.number,
        state=row.state,
        value=None,
        values=values or None,
        datetime_start=_local(row.datetime_start),
        datetime_complete=_local(row.datetime_complete),
        params={each.param_name: distributions[each.param_name].to_external_repr(each.param_value) for each in params},
        distributions=distributions,
        user_attrs=_attributes(details.user_attrs.get(row.trial_id, [])),
        system_attrs=_attributes(details.system_attrs.get(row.trial_id, [])),
        intermediate_values={
            each.step: _stored_step(each.intermediate_value, each.intermediate_value_type)
            for each in details.steps.get(row.trial_id, [])
        },
        trial_id=row.trial_id,
    )


@lru_cache(maxsize=4096)
def _distribution(text: str) -> BaseDistribution:
    return optuna.distributions.json_to_distribution(text)


def _attributes(rows: Iterable[Any]) -> dict[str, Any]:
    return {row.key: json.loads(row.value_json) for row in rows}


def _local(stored: datetime.datetime | None) -> datetime.datetime | None:
    """Optuna stores times in UTC without saying so, and gives them in local time."""
    if stored is None:
        return None
    return stored.replace(tzinfo=datetime.UTC).astimezone().replace(tzinfo=None)


def as_utc_seconds(local: datetime.datetime) -> float:
    """Seconds since 1970 of a time as the trials here have it."""
    return local.astimezone(datetime.UTC).timestamp()


def now_utc() -> datetime.datetime:
    """The time as Optuna stores it."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


def _chunks(ids: Sequence[int]) -> list[Sequence[int]]:
    return [ids[start : start + _MOST_IDS] for start in range(0, len(ids), _MOST_IDS)]


FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
