"""Reads Optuna's trials in few statements."""

import datetime
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import Any

import optuna
import sqlalchemy as sa
from optuna.distributions import BaseDistribution
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState

OPTUNA_STUDIES: Any = models.StudyModel.__table__
OPTUNA_STUDY_ATTRIBUTES: Any = models.StudyUserAttributeModel.__table__
TRIALS: Any = models.TrialModel.__table__
PARAMS: Any = models.TrialParamModel.__table__
VALUES: Any = models.TrialValueModel.__table__
STEPS: Any = models.TrialIntermediateValueModel.__table__
USER_ATTRIBUTES: Any = models.TrialUserAttributeModel.__table__
SYSTEM_ATTRIBUTES: Any = models.TrialSystemAttributeModel.__table__
_MAX_IDS = 500

_ValueKind: Any = models.TrialValueModel.TrialValueType
_StepKind: Any = models.TrialIntermediateValueModel.TrialIntermediateValueType
_stored_value = models.TrialValueModel.stored_repr_to_value
_stored_step = models.TrialIntermediateValueModel.stored_repr_to_intermediate_value


def read_trials(
    connection: sa.Connection, study_id: int, *, after: int = -1, among: Collection[int] = ()
) -> list[FrozenTrial]:
    """Return the trials of a study, by number: those with an id larger than `after`, and those `among` other ids."""
    chunks = _chunks([trial_id for trial_id in among if trial_id <= after]) or [()]
    # The first statement also reads the new trials.
    newer = {"study": study_id, "after": after}
    rows = [*connection.execute(_SOME_TRIALS, newer | {"ids": chunks[0]})]
    for ids in chunks[1:]:
        rows += connection.execute(_SOME_TRIALS, newer | {"after": _NO_LATER, "ids": ids})
    details = _Details(connection, [row.trial_id for row in rows], is_all=after < 0, study_id=study_id)
    return sorted((_frozen(row, details) for row in rows), key=lambda trial: trial.number)


class _Details:
    """Parameters, values and attributes of trials by id, read in one statement to save round trips."""

    def __init__(self, connection: sa.Connection, ids: Sequence[int], *, is_all: bool, study_id: int) -> None:
        self._found: dict[tuple[str, int], list[Any]] = defaultdict(list)
        # A whole study is read with a join, a few trials by their ids.
        selected: Any = [{"study": study_id}] if is_all else [{"ids": chunk} for chunk in _chunks(ids)]
        for values in selected:
            found = connection.execute(_DETAILS_OF_ALL if is_all else _DETAILS_OF_SOME, values)
            for row in sorted(found, key=lambda row: row.place):
                self._found[row.kind, row.trial_id].append(row)

    def of(self, kind: str, trial_id: int) -> list[Any]:
        """Return the rows of one kind, in order, with `name`, `number`, `text` and `place`."""
        return self._found.get((kind, trial_id), [])


def _trials(*columns: Any) -> Any:
    return sa.select(*columns).where(TRIALS.c.study_id == sa.bindparam("study"))


def _ids() -> Any:
    return sa.bindparam("ids", expanding=True)


def _details(selected: Any) -> Any:
    """Return the statement that reads the details of trials."""

    def part(kind: str, table: Any, name: Any, number: Any, text: Any, place: Any) -> Any:
        columns = {"kind": sa.literal(kind), "name": name, "number": number, "text": text, "place": place}
        query = sa.select(table.c.trial_id, *(column.label(label) for label, column in columns.items()))
        return query.where(table.c.trial_id.in_(selected))

    none, zero = sa.null(), sa.literal(0)
    step_kind, value_kind = (sa.cast(c, sa.String(10)) for c in (STEPS.c.intermediate_value_type, VALUES.c.value_type))
    return sa.union_all(
        part("param", PARAMS, PARAMS.c.param_name, PARAMS.c.param_value, PARAMS.c.distribution_json, PARAMS.c.param_id),
        part("value", VALUES, none, VALUES.c.value, value_kind, VALUES.c.objective),
        part("step", STEPS, none, STEPS.c.intermediate_value, step_kind, STEPS.c.step),
        part("user", USER_ATTRIBUTES, USER_ATTRIBUTES.c.key, none, USER_ATTRIBUTES.c.value_json, zero),
        part("system", SYSTEM_ATTRIBUTES, SYSTEM_ATTRIBUTES.c.key, none, SYSTEM_ATTRIBUTES.c.value_json, zero),
    )


# Built once, which takes longer than most databases take to run them.
_STATES = (TRIALS.c.trial_id, TRIALS.c.number, TRIALS.c.state, TRIALS.c.datetime_start, TRIALS.c.datetime_complete)
_SOME_TRIALS = _trials(*_STATES).where((TRIALS.c.trial_id > sa.bindparam("after")) | TRIALS.c.trial_id.in_(_ids()))
_DETAILS_OF_ALL, _DETAILS_OF_SOME = _details(_trials(TRIALS.c.trial_id)), _details(_ids())
_NO_LATER = 2**31 - 1


def _frozen(row: Any, details: _Details) -> FrozenTrial:
    params = details.of("param", row.trial_id)
    distributions = {each.name: _distribution(each.text) for each in params}
    values = [_stored_value(each.number, _ValueKind[each.text]) for each in details.of("value", row.trial_id)]
    return FrozenTrial(
        number=row.number,
        state=row.state,
        value=None,
        values=values or None,
        datetime_start=_local(row.datetime_start),
        datetime_complete=_local(row.datetime_complete),
        params={each.name: distributions[each.name].to_external_repr(each.number) for each in params},
        distributions=distributions,
        user_attrs=_attributes(details.of("user", row.trial_id)),
        system_attrs=_attributes(details.of("system", row.trial_id)),
        intermediate_values={
            each.place: _stored_step(each.number, _StepKind[each.text]) for each in details.of("step", row.trial_id)
        },
        trial_id=row.trial_id,
    )


@lru_cache(maxsize=4096)
def _distribution(text: str) -> BaseDistribution:
    return optuna.distributions.json_to_distribution(text)


def _attributes(rows: Iterable[Any]) -> dict[str, Any]:
    return {row.name: json.loads(row.text) for row in rows}


def _local(stored: datetime.datetime | None) -> datetime.datetime | None:
    """Return Optuna's stored time, which is in UTC, as the local time that Optuna's trials have."""
    if stored is None:
        return None
    return stored.replace(tzinfo=datetime.UTC).astimezone().replace(tzinfo=None)


def as_utc_seconds(local: datetime.datetime) -> float:
    """Return the seconds since 1970 of a trial's local time."""
    return local.astimezone(datetime.UTC).timestamp()


def now_utc() -> datetime.datetime:
    """Return the current time as Optuna stores it."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


def _chunks(ids: Sequence[int]) -> list[Sequence[int]]:
    return [ids[start : start + _MAX_IDS] for start in range(0, len(ids), _MAX_IDS)]


FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
