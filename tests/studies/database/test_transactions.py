"""Transactions retry transient errors only."""

import errno
import random
import sqlite3

import optuna
import psycopg
import pymysql
import pytest
import sqlalchemy as sa
from sqlalchemy import exc

from studies.database.connection import open_storage
from studies.database.transactions import Database, is_transient, upsert
from studies.database.urls import sqlite_url

PASSING = {
    "sqlite, locked": (exc.OperationalError, sqlite3.OperationalError("database is locked")),
    "sqlite, busy": (exc.OperationalError, sqlite3.OperationalError("database table is locked: trials")),
    "sqlite, no space": (exc.OperationalError, sqlite3.OperationalError("database or disk is full")),
    "sqlite, file system": (exc.OperationalError, sqlite3.OperationalError("disk I/O error")),
    "postgresql, connection lost": (
        exc.OperationalError,
        psycopg.OperationalError("server closed the connection unexpectedly"),
    ),
    "postgresql, refused": (exc.OperationalError, psycopg.OperationalError("connection failed: Connection refused")),
    "postgresql, no socket yet": (
        exc.OperationalError,
        psycopg.OperationalError(
            'connection failed: connection to server on socket "/run/x/.s.PGSQL.5432" failed: No such file or directory'
        ),
    ),
    "postgresql, name service": (
        exc.OperationalError,
        psycopg.OperationalError("failed to resolve host 'db': Temporary failure in name resolution"),
    ),
    "postgresql, starting": (
        exc.OperationalError,
        psycopg.OperationalError("FATAL:  the database system is starting up"),
    ),
    "postgresql, recovery": (
        exc.OperationalError,
        psycopg.OperationalError("FATAL:  the database system is in recovery mode"),
    ),
    "postgresql, too many": (exc.OperationalError, psycopg.OperationalError("FATAL:  sorry, too many clients already")),
    "postgresql, shut down": (
        exc.OperationalError,
        psycopg.errors.AdminShutdown("terminating connection due to administrator command"),
    ),
    "postgresql, crash": (
        exc.OperationalError,
        psycopg.errors.CrashShutdown("terminating connection because of crash of another server process"),
    ),
    "postgresql, deadlock": (exc.OperationalError, psycopg.errors.DeadlockDetected("deadlock detected")),
    "postgresql, serialization": (
        exc.OperationalError,
        psycopg.errors.SerializationFailure("could not serialize access"),
    ),
    "postgresql, disk full": (
        exc.OperationalError,
        psycopg.errors.DiskFull("could not extend file: No space left on device"),
    ),
    "postgresql, failover": (
        exc.InternalError,
        psycopg.errors.ReadOnlySqlTransaction("cannot execute UPDATE in a read-only transaction"),
    ),
    "postgresql, closed": (exc.InterfaceError, psycopg.InterfaceError("the connection is closed")),
    "mysql, gone": (exc.OperationalError, pymysql.err.OperationalError(2006, "MySQL server has gone away")),
    "mysql, lost": (
        exc.OperationalError,
        pymysql.err.OperationalError(2013, "Lost connection to MySQL server during query"),
    ),
    "mysql, refused": (
        exc.OperationalError,
        pymysql.err.OperationalError(2003, "Can't connect to MySQL server on 'db' ([Errno 111] Connection refused)"),
    ),
    "mysql, deadlock": (
        exc.OperationalError,
        pymysql.err.OperationalError(1213, "Deadlock found when trying to get lock"),
    ),
    "mysql, lock wait": (exc.OperationalError, pymysql.err.OperationalError(1205, "Lock wait timeout exceeded")),
    "mysql, too many": (exc.OperationalError, pymysql.err.OperationalError(1040, "Too many connections")),
    "mysql, shutting down": (exc.OperationalError, pymysql.err.OperationalError(1053, "Server shutdown in progress")),
    "mysql, changed meanwhile": (
        exc.OperationalError,
        pymysql.err.OperationalError(1020, "Record has changed since last read in table 'trials'"),
    ),
    "mysql, out of step": (
        exc.InternalError,
        pymysql.err.InternalError("Packet sequence number wrong - got 45 expected 1"),
    ),
    "mysql, closed": (exc.InterfaceError, pymysql.err.InterfaceError(0, "")),
}
LASTING = {
    "sqlite, no table": (exc.OperationalError, sqlite3.OperationalError("no such table: trials")),
    "sqlite, read-only": (exc.OperationalError, sqlite3.OperationalError("attempt to write a readonly database")),
    "sqlite, no folder": (exc.OperationalError, sqlite3.OperationalError("unable to open database file")),
    "sqlite, broken": (exc.DatabaseError, sqlite3.DatabaseError("database disk image is malformed")),
    "postgresql, password": (
        exc.OperationalError,
        psycopg.OperationalError('FATAL:  password authentication failed for user "a"'),
    ),
    "postgresql, no database": (exc.OperationalError, psycopg.OperationalError('FATAL:  database "x" does not exist')),
    "postgresql, no right": (
        exc.ProgrammingError,
        psycopg.errors.InsufficientPrivilege("permission denied for table trials"),
    ),
    "postgresql, no table": (exc.ProgrammingError, psycopg.errors.UndefinedTable('relation "trials" does not exist')),
    "postgresql, key": (exc.IntegrityError, psycopg.errors.UniqueViolation("duplicate key value")),
    "mysql, password": (
        exc.OperationalError,
        pymysql.err.OperationalError(1045, "Access denied for user 'a'@'b' (using password: YES)"),
    ),
    "mysql, no database": (exc.OperationalError, pymysql.err.OperationalError(1049, "Unknown database 'x'")),
    "mysql, no column": (
        exc.OperationalError,
        pymysql.err.OperationalError(1054, "Unknown column 'x' in 'field list'"),
    ),
    "mysql, no right": (
        exc.OperationalError,
        pymysql.err.OperationalError(1142, "INSERT command denied to user 'a'@'b' for table 'trials'"),
    ),
}


def wrapped(kind, error):
    """Return an error as SQLAlchemy raises it."""
    return kind("SELECT 1", {}, error)


@pytest.mark.parametrize("case", PASSING)
def test_transient_error_is_retried(case):
    """Errors that Optuna has wrapped are retried, too."""
    error = wrapped(*PASSING[case])
    assert is_transient(error)
    by_optuna = optuna.exceptions.StorageInternalError("An exception is raised during the commit.")
    by_optuna.__cause__ = error
    assert is_transient(by_optuna)


@pytest.mark.parametrize("case", LASTING)
def test_permanent_error_is_raised(case):
    """A wrong password, a missing table and a broken file are permanent."""
    assert not is_transient(wrapped(*LASTING[case]))


def test_other_errors_are_not_retried():
    """Only database errors are retried."""
    assert not is_transient(OSError(errno.ENOSPC, "No space left on device"))
    assert not is_transient(ValueError("locked"))


class Clock:
    """A clock that advances only by sleeping."""

    def __init__(self):
        self.now, self.slept = 0.0, []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def database(tmp_path):
    """Return a SQLite database with a clock that does not wait."""
    engine = open_storage(sqlite_url(tmp_path / "a.db")).engine
    clock = Clock()
    yield Database(engine, lambda: 60.0, clock, clock.sleep)
    engine.dispose()


def failing(times, error):
    """Return a function that fails a number of times."""
    calls = []

    def work(connection=None):
        calls.append(connection)
        if len(calls) <= times:
            raise error
        return len(calls)

    return work


LOCKED = wrapped(*PASSING["sqlite, locked"])


def test_delays_grow_up_to_a_limit(database):
    """They never exceed a few seconds."""
    assert database.run(failing(9, LOCKED)) == 10
    slept = database.sleep.__self__.slept
    assert len(slept) == 9
    assert slept[0] < 0.1
    assert 1.0 < max(slept) < 5.0


def test_retry_timeout_is_respected(database):
    """The last error is raised when it has passed."""
    with pytest.raises(exc.OperationalError, match="locked"):
        database.run(failing(10**6, LOCKED))
    assert 50.0 < database.clock() <= 60.0


def test_global_random_generator_is_not_used(database):
    """A heartbeat that drew from it would change the weights of the training."""
    before = random.getstate()
    database.run(failing(9, LOCKED))
    assert random.getstate() == before


def test_zero_timeout_tries_once(database):
    """The next heartbeat follows soon."""
    work = failing(1, LOCKED)
    with pytest.raises(exc.OperationalError):
        Database(database.engine, lambda: 0.0).run(work)


def test_empty_pool_is_transient(database):
    """Another thread returns its connection."""
    assert database.retry(failing(2, exc.TimeoutError("QueuePool limit"))) == 3


def test_failed_transaction_is_rolled_back(database):
    """The next try starts from the same state."""
    table = sa.Table("t", sa.MetaData(), sa.Column("a", sa.Integer))
    table.create(database.engine)
    work = failing(2, LOCKED)

    def write(connection):
        connection.execute(sa.insert(table).values(a=1))
        work()

    database.run(write)
    assert database.read(lambda c: c.scalar(sa.select(sa.func.count()).select_from(table))) == 1


def test_reader_does_not_wait_for_writer(database):
    """A view of a study never waits for its workers."""
    with database.engine.begin() as writing:
        writing.exec_driver_sql("CREATE TABLE t (a INTEGER)")
        assert database.read(lambda connection: connection.scalar(sa.text("SELECT 1"))) == 1


def test_read_does_not_affect_later_write(database):
    """A later transaction on the same connection can write."""
    database.read(lambda connection: None)
    with database.engine.begin() as connection:
        assert not connection.get_execution_options().get("search_reading")


def test_upsert_inserts_or_updates(open_worker):
    """Each row is identified by its key."""
    engine = open_worker().database.engine
    table = sa.Table(
        "t",
        sa.MetaData(),
        sa.Column("a", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("b", sa.String(9), primary_key=True),
        sa.Column("c", sa.Float(53)),
    )
    table.create(engine)
    with engine.begin() as connection:
        upsert(connection, table, [], ("a", "b"))
        upsert(connection, table, [{"a": 1, "b": "x", "c": 0.5}, {"a": 1, "b": "y", "c": 0.5}], ("a", "b"))
        upsert(connection, table, [{"a": 1, "b": "y", "c": None}, {"a": 2, "b": "y", "c": 0.1 + 0.2}], ("a", "b"))
        rows = connection.execute(sa.select(table).order_by("a", "b")).all()
    assert rows == [(1, "x", 0.5), (1, "y", None), (2, "y", 0.1 + 0.2)]
