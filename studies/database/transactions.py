"""Runs transactions, with retries after a lost connection, a deadlock or a restart of the server."""

import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, TypeVar

import optuna
import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

Answer = TypeVar("Answer")

LOG = logging.getLogger(__name__)
RETRY_TIMEOUT = 120.0
FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS = 0.05, 3.0
JITTER = random.Random()
"""Separate from Python's global generator, which another thread uses to build models."""
READING = "search_reading"
"""Execution option of read-only connections."""

PERMANENT_ERRORS = (
    "no such table",
    "no such column",
    "readonly",
    "password",
    "permission denied",
    "access denied",
    "command denied",
    "does not exist",
    "doesn't exist",
    "unknown database",
    "unknown column",
    "not a database",
    "unable to open",
)
"""Words that mark an operational error as permanent."""


@dataclass(frozen=True)
class Database:
    """A database, with retries of transient errors.

    Args:
        engine: SQLAlchemy's engine.
        retry_timeout: Returns the seconds for which a transaction with a transient error is retried. It is called at
            each failure, so that a stop request can shorten it.
        clock: Monotonic clock, in seconds.
        sleep: Function that sleeps for a number of seconds.
    """

    engine: sa.Engine
    retry_timeout: Callable[[], float] = lambda: RETRY_TIMEOUT
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)

    def run(self, work: Callable[[sa.Connection], Answer]) -> Answer:
        """Run a transaction, with retries while the database is unreachable.

        Args:
            work: Function that runs in the transaction. It may run again after a commit whose answer was lost: it must
                then detect that its work is done.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The error is permanent, or the retry timeout has passed.
        """

        return self._run(self.engine, work)

    def run_one(self, work: Callable[[sa.Connection], Answer]) -> Answer:
        """Run one statement as `run` does, without the messages that begin and end a transaction in PostgreSQL."""
        return self._run(self._autocommitting, work)

    def _run(self, engine: sa.Engine, work: Callable[[sa.Connection], Answer]) -> Answer:
        def transaction() -> Answer:
            with engine.begin() as connection:
                return work(connection)

        return self.retry(transaction)

    @cached_property
    def _autocommitting(self) -> sa.Engine:
        is_postgresql = self.engine.dialect.name == "postgresql"
        return self.engine.execution_options(isolation_level="AUTOCOMMIT") if is_postgresql else self.engine

    @cached_property
    def _reading(self) -> sa.Engine:
        return self._autocommitting.execution_options(**{READING: True})

    def read(self, work: Callable[[sa.Connection], Answer]) -> Answer:
        """Run what only reads: it never waits for one that writes. As `run` else.

        On a server each statement sees what was committed before it.
        """

        def transaction() -> Answer:
            with self._reading.connect() as connection:
                return work(connection)

        return self.retry(transaction)

    def retry(self, call: Callable[[], Answer]) -> Answer:
        """Retry a call that makes its own transactions, as `run` does."""
        started, delay = self.clock(), FIRST_DELAY_SECONDS
        while True:
            pause = delay * JITTER.uniform(0.5, 1.5)
            try:
                return call()
            except (exc.DBAPIError, exc.TimeoutError, optuna.exceptions.StorageInternalError) as error:
                waited = self.clock() - started
                if not is_transient(error) or waited + pause > self.retry_timeout():
                    raise
                if delay == FIRST_DELAY_SECONDS * 8:
                    LOG.warning("database unreachable; retrying")
            self.sleep(pause)
            delay = min(2 * delay, LONGEST_DELAY_SECONDS)


def is_transient(error: BaseException) -> bool:
    """Return True if a database error is transient: a lost connection, a deadlock, a lock or a restart."""
    while isinstance(error, optuna.exceptions.StorageInternalError) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, exc.TimeoutError):
        return True
    if not isinstance(error, exc.DBAPIError):
        return False
    # Internal errors: a server that has just become a stand-by, or answers out of order.
    transient = exc.OperationalError | exc.InterfaceError | exc.InternalError
    if not (error.connection_invalidated or isinstance(error, transient)):
        return False
    text = str(error.orig).lower()
    return not any(word in text for word in PERMANENT_ERRORS)


class database_seconds(FunctionElement[float]):
    """Seconds since 1970 on the database's clock, which all workers share."""

    type = sa.Float(53)
    inherit_cache = True


@compiles(database_seconds, "sqlite")
def _sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(database_seconds, "postgresql")
def _postgresql(element: Any, compiler: Any, **options: Any) -> str:
    return "EXTRACT(EPOCH FROM clock_timestamp())"


@compiles(database_seconds, "mysql")
@compiles(database_seconds, "mariadb")
def _mysql(element: Any, compiler: Any, **options: Any) -> str:
    return "(UNIX_TIMESTAMP(SYSDATE(6)) + 0.0)"


def upsert(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> None:
    """Insert rows, all with the same columns, or update existing ones, in one statement.

    The `keys` are the columns of a unique index.
    """
    if rows:
        connection.execute(_upserting(connection.dialect.name, table, tuple(rows[0]), tuple(keys)), list(rows))


@lru_cache
def _upserting(dialect: str, table: sa.Table, columns: Sequence[str], keys: Sequence[str]) -> Any:
    """Return the statement of `upsert`; building it takes longer than most databases take to run it."""
    changed = [name for name in columns if name not in keys]
    if dialect in ("mysql", "mariadb"):
        of_mysql = mysql.insert(table)
        return of_mysql.on_duplicate_key_update({name: of_mysql.inserted[name] for name in changed})
    insert: Any = (postgresql if dialect == "postgresql" else sqlite).insert(table)
    return insert.on_conflict_do_update(index_elements=keys, set_={name: insert.excluded[name] for name in changed})
