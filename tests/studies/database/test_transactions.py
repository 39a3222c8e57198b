"""Transactions outlive what passes, and nothing else."""

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
    """The error as SQLAlchemy gives it."""
    return kind("SELECT 1", {}, error)


@pytest.mark.parametrize("case", PASSING)
def test_what_passes_is_tried_again(case):
    """A connection, a lock, a server or space may come back; also when Optuna has wrapped the error."""
    error = wrapped(*PASSING[case])
    assert is_transient(error)
    by_optuna = optuna.exceptions.StorageInternalError("An exception is raised during the commit.")
    by_optuna.__cause__ = error
    assert is_transient(by_optuna)


@pytest.mark.parametrize("case", LASTING)
def test_what_stays_is_raised_at_once(case):
    """No waiting mends a wrong password, an absent table or a broken file."""
    assert not is_transient(wrapped(*LASTING[case]))


def test_errors_of_other_kinds_are_not_the_databases():
    """Only what a database said is tried again."""
    assert not is_transient(OSError(errno.ENOSPC, "No space left on device"))
    assert not is_transient(ValueError("locked"))


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self):
        self.now, self.slept = 0.0, []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def database(tmp_path):
    """A SQLite database with a clock that does not wait."""
    engine = open_storage(sqlite_url(tmp_path / "a.db")).engine
    clock = Clock()
    yield Database(engine, lambda: 60.0, clock, clock.sleep)
    engine.dispose()


def failing(times, error):
    """Work that fails so many times."""
    calls = []

    def work(connection=None):
        calls.append(connection)
        if len(calls) <= times:
            raise error
        return len(calls)

    return work


LOCKED = wrapped(*PASSING["sqlite, locked"])


def test_the_waits_grow_and_end(database):
    """Shortly at first, never longer than a few seconds."""
    assert database.run(failing(9, LOCKED)) == 10
    slept = database.sleep.__self__.slept
    assert len(slept) == 9
    assert slept[0] < 0.1
    assert 1.0 < max(slept) < 5.0


def test_the_patience_is_kept(database):
    """The error itself is raised when it is over, not much later."""
    with pytest.raises(exc.OperationalError, match="locked"):
        database.run(failing(10**6, LOCKED))
    assert 50.0 < database.clock() <= 60.0


def test_pythons_own_generator_is_left_alone(database):
    """A heartbeat that draws from it would change the weights that the training is building."""
    before = random.getstate()
    database.run(failing(9, LOCKED))
    assert random.getstate() == before


def test_no_patience_means_one_try(database):
    """A heartbeat has its next beat."""
    work = failing(1, LOCKED)
    with pytest.raises(exc.OperationalError):
        Database(database.engine, lambda: 0.0).run(work)


def test_the_pool_being_empty_passes(database):
    """Another thread gives its connection back."""
    assert database.retry(failing(2, exc.TimeoutError("QueuePool limit"))) == 3


def test_a_failed_transaction_leaves_nothing(database):
    """What was written before the error is undone before the next try."""
    table = sa.Table("t", sa.MetaData(), sa.Column("a", sa.Integer))
    table.create(database.engine)
    work = failing(2, LOCKED)

    def write(connection):
        connection.execute(sa.insert(table).values(a=1))
        work()

    database.run(write)
    assert database.read(lambda c: c.scalar(sa.select(sa.func.count()).select_from(table))) == 1


def test_reading_does_not_wait_for_whoever_writes(database):
    """Whoever shows a study never waits for its workers."""
    with database.engine.begin() as writing:
        writing.exec_driver_sql("CREATE TABLE t (a INTEGER)")
        assert database.read(lambda connection: connection.scalar(sa.text("SELECT 1"))) == 1


def test_a_reading_engine_does_not_change_the_other(database):
    """A later transaction on the same connection writes again."""
    database.read(lambda connection: None)
    with database.engine.begin() as connection:
        assert not connection.get_execution_options().get("search_reading")


def test_rows_are_inserted_or_changed(open_worker):
    """In one statement, by whichever key tells them apart."""
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
