"""The tables of search, next to Optuna's."""

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from spaces.errors import StudyError

SCHEMA_VERSION = 5
METADATA = sa.MetaData()
SECONDS = sa.Float(53).with_variant(mysql.DOUBLE(asdecimal=False), "mysql", "mariadb")
"""Seconds since 1970, on the database's clock."""

VERSION = sa.Table("search_version", METADATA, sa.Column("version", sa.Integer, primary_key=True, autoincrement=False))
"""The version of these tables."""

IDENTITIES = sa.Table(
    "search_identities",
    METADATA,
    sa.Column("study_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("identity", sa.String(36), nullable=False, unique=True),
)
"""Identity of each study. It is also an attribute of Optuna's study: rows of search count only while both agree."""

STUDIES = sa.Table(
    "search_studies",
    METADATA,
    sa.Column("study_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("trial_budget", sa.Integer, nullable=False),
    sa.Column("deadline", SECONDS),
    sa.Column("device_seconds_limit", SECONDS),
    sa.Column("device_seconds_at_start", SECONDS, nullable=False, default=0.0),
    sa.Column("stop_reason", sa.String(200)),
    sa.Column("exporter_id", sa.String(36)),
    sa.Column("export_attempt", sa.Integer, nullable=False, default=0),
    sa.Column("export_info", sa.JSON),
    sa.Column("stopped_at", SECONDS),
    sa.Column("reachable_since", SECONDS, nullable=False, default=0.0),
    sa.Column("outages", sa.Integer, nullable=False, default=0),
)
"""The limits of each study, the reason for which it was asked to stop, and the worker that exports its best trial.

`device_seconds_limit` bounds the device time from the current start on; `device_seconds_at_start` is the time used
before it. `export_attempt` counts the claims of the export: a worker with an older claim has lost it. `stopped_at` is
the time of the last request to stop, even if a later start has cleared it. `outages` counts the periods in which no
worker reached the database; `reachable_since` is the end of the last one.
"""

WORKERS = sa.Table(
    "search_workers",
    METADATA,
    sa.Column("worker_id", sa.String(36), primary_key=True),
    sa.Column("study_id", sa.Integer, nullable=False, index=True),
    sa.Column("identity", sa.String(36), nullable=False),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("device", sa.String(255), nullable=False),
    sa.Column("device_share", sa.Float, nullable=False),
    sa.Column("started_at", SECONDS, nullable=False),
    sa.Column("heartbeat_at", SECONDS, nullable=False),
    sa.Column("lost_after_seconds", SECONDS, nullable=False),
    sa.Column("state", sa.String(8), nullable=False),
    sa.Column("activity", sa.String(200), nullable=False, default=""),
    sa.Column("is_stopping", sa.Boolean, nullable=False, default=False),
    sa.Column("trial_number", sa.Integer),
    sa.Column("epoch", sa.Integer),
    sa.Column("epochs", sa.Integer),
    sa.Column("metric_value", sa.Float(53)),
    sa.Column("log", sa.String(500)),
    sa.Column("outages", sa.Integer, nullable=False, default=0),
    sa.Column("machine", sa.String(255)),
    sa.Column("process_start", sa.BigInteger),
    sa.Column("lost_trial_id", sa.Integer),
    sa.Column("lost_epochs", sa.Integer),
)
"""Every process that has worked on a study; it counts as lost after `lost_after_seconds` without a heartbeat.

`outages` is the study's count at the last heartbeat: the time without a heartbeat starts again after each outage.
`machine` and `process_start` identify a process of this machine. `lost_trial_id` and `lost_epochs` are the trial whose
crash count was raised because of this worker, and the epochs it had when it was claimed; a worker that returns undoes
that. A worker that `is_stopping` may be killed early without counting as a crash of its trial.
"""

CLAIMS = sa.Table(
    "search_claims",
    METADATA,
    sa.Column("trial_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("study_id", sa.Integer, nullable=False, index=True),
    sa.Column("worker_id", sa.String(36), index=True),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("claim_token", sa.String(36), nullable=False),
    sa.Column("last_write_at", SECONDS, nullable=False),
    sa.Column("epochs_at_claim", sa.Integer, nullable=False),
    sa.Column("crash_count", sa.Integer, nullable=False),
)
"""The worker that has claimed each trial, or NULL once it was released, and the number of the attempt.

`epochs_at_claim` counts the epochs that were finished at the claim. `crash_count` counts the workers in a row that were
lost with the trial before they had finished another epoch.
"""

EPOCHS = sa.Table(
    "search_epochs",
    METADATA,
    sa.Column("trial_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("epoch", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("metrics", sa.JSON, nullable=False),
    sa.Column("ended_at", SECONDS, nullable=False),
)
"""Metrics of each finished epoch, counted from 1, and the time at which it ended, in seconds since 1970."""


def create_tables(engine: sa.Engine) -> None:
    """Create missing tables; version 1, which had only the epochs, is completed.

    Raises:
        StudyError: The schema has another version.
    """
    with engine.connect() as connection:
        has_tables(connection)
    METADATA.create_all(engine)
    with engine.begin() as connection:
        if _version(connection) is None:
            connection.execute(sa.insert(VERSION).values(version=SCHEMA_VERSION))


def has_tables(connection: sa.Connection) -> bool:
    """Return True if the tables exist; a database of Optuna alone, or of version 1, has none.

    Raises:
        StudyError: The schema has another version.
    """
    return sa.inspect(connection).has_table(VERSION.name) and _version(connection) is not None


def _version(connection: sa.Connection) -> int | None:
    found = max(connection.scalars(sa.select(VERSION.c.version)).all(), default=None)
    if found not in (None, SCHEMA_VERSION):
        raise StudyError(
            f"database schema version {found} is not supported (expected {SCHEMA_VERSION})\n"
            f"hint: {'upgrade search' if found > SCHEMA_VERSION else 'use a new database'}"
        )
    return found


def read_epochs(engine: sa.Engine, trial_id: int) -> list[dict[str, float | None]]:
    """Return the metrics of a trial's epochs, in order."""
    query = sa.select(EPOCHS.c.metrics).where(EPOCHS.c.trial_id == trial_id).order_by(EPOCHS.c.epoch)
    with engine.connect() as connection:
        return [row.metrics for row in connection.execute(query)]
