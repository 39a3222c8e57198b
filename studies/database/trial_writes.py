"""The claim of a worker on a trial, the pending changes of the trial, and how they are stored."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import optuna
import sqlalchemy as sa
from optuna.distributions import BaseDistribution
from optuna.storages._rdb import models
from optuna.trial import TrialState

from studies.database.identities import is_of_its_study
from studies.database.optuna_tables import PARAMS, STEPS, SYSTEM_ATTRIBUTES, TRIALS, USER_ATTRIBUTES, VALUES, now_utc
from studies.database.tables import CLAIMS, EPOCHS
from studies.database.transactions import database_seconds, upsert

TOUCH_CLAIM = (
    sa.update(CLAIMS)
    .where(CLAIMS.c.trial_id == sa.bindparam("held_trial"), CLAIMS.c.worker_id == sa.bindparam("held_worker"))
    .where(CLAIMS.c.attempt == sa.bindparam("held_attempt"), is_of_its_study())
    .values(last_write_at=database_seconds())
)
"""Statement that keeps other workers from claiming the trial until the transaction ends.

It changes no row if the study has been deleted, even if another study has reused the trial id.
"""

KEYS: Mapping[sa.Table, tuple[str, ...]] = {
    PARAMS: ("trial_id", "param_name"),
    USER_ATTRIBUTES: ("trial_id", "key"),
    SYSTEM_ATTRIBUTES: ("trial_id", "key"),
    STEPS: ("trial_id", "step"),
    VALUES: ("trial_id", "objective"),
    EPOCHS: ("trial_id", "epoch"),
}
"""Tables with the data of a trial, and their key columns."""


@dataclass
class PendingWrites:
    """Changes of a trial, collected until the next transaction."""

    params: dict[str, tuple[float, BaseDistribution]] = field(default_factory=dict)
    user_attrs: dict[str, Any] = field(default_factory=dict)
    system_attrs: dict[str, Any] = field(default_factory=dict)
    steps: dict[int, float] = field(default_factory=dict)
    epochs: dict[int, Mapping[str, float]] = field(default_factory=dict)
    value: float | None = None

    def rows(self, trial_id: int) -> dict[sa.Table, list[dict[str, Any]]]:
        """Return the rows to store, for each table of `KEYS`."""
        rows = {
            PARAMS: [_param(name, *param) for name, param in self.params.items()],
            USER_ATTRIBUTES: [_attribute(*attribute) for attribute in self.user_attrs.items()],
            SYSTEM_ATTRIBUTES: [_attribute(*attribute) for attribute in self.system_attrs.items()],
            STEPS: [_step(*step) for step in self.steps.items()],
            VALUES: [] if self.value is None else [_value(self.value)],
            EPOCHS: [_epoch(*epoch) for epoch in self.epochs.items()],
        }
        return {table: [{"trial_id": trial_id, **row} for row in found] for table, found in rows.items()}

    def write(self, connection: sa.Connection, trial_id: int) -> None:
        """Write all changes; writing them again has no effect."""
        for table, rows in self.rows(trial_id).items():
            upsert(connection, table, rows, keys=KEYS[table])

    def __bool__(self) -> bool:
        return any((self.params, self.user_attrs, self.system_attrs, self.steps, self.epochs))


@dataclass(frozen=True)
class Claim:
    """A trial that a worker has claimed, which permits it to write about the trial.

    Args:
        trial_id: Id of the trial in the database.
        number: Number of the trial in its study.
        attempt: Number of the claim of this trial, counted from 1.
        trial_budget: Number of trials of the study at the time of the claim.
        worker_id: The worker.
    """

    trial_id: int
    number: int
    attempt: int
    trial_budget: int
    worker_id: str

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters of `TOUCH_CLAIM`."""
        return {"held_trial": self.trial_id, "held_worker": self.worker_id, "held_attempt": self.attempt}


@dataclass(frozen=True)
class TrialEnd:
    """End of a trial.

    Args:
        state: A finished state.
        epochs: Number of its epochs; later ones are deleted. None deletes none.
    """

    state: TrialState
    epochs: int | None


def write_if_claimed(
    connection: sa.Connection, claim: Claim, changes: PendingWrites, end: TrialEnd | None = None
) -> bool:
    """Write changes of a trial, and optionally its end; returns False if the claim is lost."""
    if not connection.execute(TOUCH_CLAIM, claim.parameters).rowcount:
        return False
    changes.write(connection, claim.trial_id)
    if end is not None:
        if end.epochs is not None:
            beyond = (EPOCHS.c.trial_id == claim.trial_id) & (EPOCHS.c.epoch > end.epochs)
            connection.execute(sa.delete(EPOCHS).where(beyond))
        change = sa.update(TRIALS).where(TRIALS.c.trial_id == claim.trial_id)
        connection.execute(change.values(state=end.state, datetime_complete=now_utc()))
    return True


def _param(name: str, value: float, distribution: BaseDistribution) -> dict[str, Any]:
    described = optuna.distributions.distribution_to_json(distribution)
    return {"param_name": name, "param_value": value, "distribution_json": described}


def _attribute(key: str, value: Any) -> dict[str, Any]:
    return {"key": key, "value_json": json.dumps(value)}


def _step(step: int, value: float) -> dict[str, Any]:
    stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
    return {"step": step, "intermediate_value": stored, "intermediate_value_type": kind}


def _value(value: float) -> dict[str, Any]:
    stored, kind = models.TrialValueModel.value_to_stored_repr(value)
    return {"objective": 0, "value": stored, "value_type": kind}


def _epoch(epoch: int, metrics: Mapping[str, float]) -> dict[str, Any]:
    """Return the row of an epoch; JSON stores a metric that is not finite as None."""
    finite = {name: value if abs(value) < float("inf") else None for name, value in metrics.items()}
    return {"epoch": epoch, "metrics": finite, "ended_at": time.time()}
