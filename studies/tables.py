"""Tables of our own beside Optuna's, for what its schema has no place for."""

import time
from collections.abc import Mapping

import sqlalchemy as sa

METADATA = sa.MetaData()

EPOCHS = sa.Table(
    "search_epochs",
    METADATA,
    sa.Column("trial_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("epoch", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("metrics", sa.JSON, nullable=False),
    sa.Column("ended_at", sa.Float, nullable=False),
)
"""The metrics of each whole epoch, counted from 1, and when it ended, in seconds since 1970."""


def create_tables(engine: sa.Engine) -> None:
    """Create the tables that are missing."""
    METADATA.create_all(engine)


def write_epoch(engine: sa.Engine, trial_id: int, epoch: int, metrics: Mapping[str, float]) -> None:
    """Store an epoch's metrics, in place of those of an earlier, interrupted run of the same trial.

    A metric that is not finite is stored as None, which JSON can hold.
    """
    finite = {name: value if abs(value) < float("inf") else None for name, value in metrics.items()}
    row = {"trial_id": trial_id, "epoch": epoch, "metrics": finite, "ended_at": time.time()}
    with engine.begin() as connection:
        connection.execute(sa.delete(EPOCHS).where(EPOCHS.c.trial_id == trial_id, EPOCHS.c.epoch >= epoch))
        connection.execute(sa.insert(EPOCHS).values(row))


def read_epochs(engine: sa.Engine, trial_id: int) -> list[dict[str, float | None]]:
    """The metrics of a trial's epochs, in order."""
    query = sa.select(EPOCHS.c.metrics).where(EPOCHS.c.trial_id == trial_id).order_by(EPOCHS.c.epoch)
    with engine.connect() as connection:
        return [row.metrics for row in connection.execute(query)]
