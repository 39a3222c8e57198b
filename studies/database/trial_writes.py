"""What a worker has found out about its trial, and how that is stored."""

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
"""The statement that keeps others from taking the trial until the transaction ends.

It changes no row once the study was deleted, even if another study has its trial id by now.
"""

KEYS: Mapping[sa.Table, tuple[str, ...]] = {
    PARAMS: ("trial_id", "param_name"),
    USER_ATTRIBUTES: ("trial_id", "key"),
    SYSTEM_ATTRIBUTES: ("trial_id", "key"),
    STEPS: ("trial_id", "step"),
    VALUES: ("trial_id", "objective"),
    EPOCHS: ("trial_id", "epoch"),
}
"""The tables of what hangs on a trial, and the columns that tell the rows of each apart."""


@dataclass
class PendingWrites:
    """What is to be written about a trial, collected until the next transaction."""

    params: dict[str, tuple[float, BaseDistribution]] = field(default_factory=dict)
    user_attrs: dict[str, Any] = field(default_factory=dict)
    system_attrs: dict[str, Any] = field(default_factory=dict)
    steps: dict[int, float] = field(default_factory=dict)
    epochs: dict[int, Mapping[str, float]] = field(default_factory=dict)
    value: float | None = None

    def rows(self, trial_id: int) -> dict[sa.Table, list[dict[str, Any]]]:
        """All of it as it is stored, for each of the tables of `KEYS`."""
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
        """Write all of it; a second time changes nothing."""
        for table, rows in self.rows(trial_id).items():
            upsert(connection, table, rows, keys=KEYS[table])

    def __bool__(self) -> bool:
        return any((self.params, self.user_attrs, self.system_attrs, self.steps, self.epochs))


@dataclass(frozen=True)
class ClaimKey:
    """The claim under which something is written.

    Args:
        trial_id: The trial in the database.
        worker_id: The worker that has taken it.
        attempt: For the how manieth time it was taken.
    """

    trial_id: int
    worker_id: str
    attempt: int

    @property
    def parameters(self) -> dict[str, Any]:
        """Those of `HOLD`."""
        return {"held_trial": self.trial_id, "held_worker": self.worker_id, "held_attempt": self.attempt}


@dataclass(frozen=True)
class TrialEnd:
    """How a trial ends.

    Args:
        state: A finished one.
        epochs: Those beyond are removed; None removes none.
    """

    state: TrialState
    epochs: int | None


def write_if_claimed(
    connection: sa.Connection, held: ClaimKey, changes: PendingWrites, end: TrialEnd | None = None
) -> bool:
    """Write about a trial if the worker still holds it, and perhaps end it; returns whether it does.

    Args:
        connection: Inside a transaction.
        held: The trial and the worker.
        changes: What is written.
        end: How it ends, or None.
    """
    if not connection.execute(TOUCH_CLAIM, held.parameters).rowcount:
        return False
    changes.write(connection, held.trial_id)
    if end is not None:
        if end.epochs is not None:
            beyond = (EPOCHS.c.trial_id == held.trial_id) & (EPOCHS.c.epoch > end.epochs)
            connection.execute(sa.delete(EPOCHS).where(beyond))
        change = sa.update(TRIALS).where(TRIALS.c.trial_id == held.trial_id)
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
    """A metric that is not finite is stored as None, which JSON can hold."""
    finite = {name: value if abs(value) < float("inf") else None for name, value in metrics.items()}
    return {"epoch": epoch, "metrics": finite, "ended_at": time.time()}
