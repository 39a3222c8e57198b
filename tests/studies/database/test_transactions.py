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

PASSING = (
    sqlite3.OperationalError("database is locked"),
    sqlite3.OperationalError("database or disk is full"),
    sqlite3.OperationalError("disk I/O error"),
    psycopg.OperationalError("server closed the connection unexpectedly"),
    psycopg.OperationalError("connection failed: Connection refused"),
    psycopg.OperationalError('connection to server on socket "/x/.s.PGSQL.5432" failed: No such file or directory'),
    psycopg.OperationalError("failed to resolve host 'db': Temporary failure in name resolution"),
    psycopg.OperationalError("FATAL:  the database system is starting up"),
    psycopg.OperationalError("FATAL:  sorry, too many clients already"),
    psycopg.errors.AdminShutdown("terminating connection due to administrator command"),
    psycopg.errors.DeadlockDetected("deadlock detected"),
    psycopg.errors.SerializationFailure("could not serialize access"),
    psycopg.errors.DiskFull("could not extend file: No space left on device"),
    psycopg.errors.ReadOnlySqlTransaction("cannot execute UPDATE in a read-only transaction"),
    psycopg.InterfaceError("the connection is closed"),
    pymysql.err.OperationalError(2006, "MySQL server has gone away"),
    pymysql.err.OperationalError(2003, "Can't connect to MySQL server on 'db' ([Errno 111] Connection refused)"),
    pymysql.err.OperationalError(1213, "Deadlock found when trying to get lock"),
    pymysql.err.OperationalError(1205, "Lock wait timeout exceeded"),
    pymysql.err.OperationalError(1040, "Too many connections"),
    pymysql.err.OperationalError(1053, "Server shutdown in progress"),
    pymysql.err.OperationalError(1020, "Record has changed since last read in table 'trials'"),
    pymysql.err.InternalError("Packet sequence number wrong - got 45 expected 1"),
    pymysql.err.InterfaceError(0, ""),
)
LASTING = (
    sqlite3.OperationalError("no such table: trials"),
    sqlite3.OperationalError("attempt to write a readonly database"),
    sqlite3.OperationalError("unable to open database file"),
    sqlite3.DatabaseError("database disk image is malformed"),
    psycopg.OperationalError('FATAL:  password authentication failed for user "a"'),
    psycopg.OperationalError('FATAL:  database "x" does not exist'),
    psycopg.errors.InsufficientPrivilege("permission denied for table trials"),
    psycopg.errors.UndefinedTable('relation "trials" does not exist'),
    psycopg.errors.UniqueViolation("duplicate key value"),
    pymysql.err.OperationalError(1045, "Access denied for user 'a'@'b' (using password: YES)"),
    pymysql.err.OperationalError(1049, "Unknown database 'x'"),
    pymysql.err.OperationalError(1054, "Unknown column 'x' in 'field list'"),
    pymysql.err.OperationalError(1142, "INSERT command denied to user 'a'@'b' for table 'trials'"),
)


def wrapped(error):
    """Return an error as SQLAlchemy raises it."""
    return exc.DBAPIError.instance("SELECT 1", {}, error, Exception)


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_transient_error_is_retried(error):
    """So are those that Optuna has wrapped, and a connection that another thread uses for too long."""
    by_optuna = optuna.exceptions.StorageInternalError("An exception is raised during the commit.")
    by_optuna.__cause__ = wrapped(error)
    assert is_transient(wrapped(error))
    assert is_transient(by_optuna)
    assert is_transient(exc.TimeoutError("QueuePool limit"))


@pytest.mark.parametrize(
    "error", [*map(wrapped, LASTING), OSError(errno.ENOSPC, "No space left on device"), ValueError("locked")], ids=repr
)
def test_permanent_error_is_raised(error):
    """A wrong password, a missing table and a broken file are permanent, as is any error that is not the database's."""
    assert not is_transient(error)


@pytest.fixture
def database(tmp_path):
    """Return a SQLite database that does not wait: its clock advances only by the seconds that it sleeps."""
    engine, slept = open_storage(sqlite_url(tmp_path / "a.db")).engine, []
    yield Database(engine, lambda: 60.0, lambda: sum(slept), slept.append)
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


LOCKED = wrapped(PASSING[0])


def test_delays_grow_up_to_a_limit(database):
    """They never exceed a few seconds, and leave the global random generator, on which the weights depend, alone."""
    before = random.getstate()
    assert database.run(failing(9, LOCKED)) == 10
    slept = database.sleep.__self__
    assert (len(slept), slept[0] < 0.1, 1.0 < max(slept) < 5.0) == (9, True, True)
    assert random.getstate() == before


def test_retry_timeout_is_respected(database):
    """The last error is raised when it has passed; with zero seconds there is one try."""
    with pytest.raises(exc.OperationalError, match="locked"):
        database.run(failing(10**6, LOCKED))
    assert 50.0 < database.clock() <= 60.0
    with pytest.raises(exc.OperationalError):
        Database(database.engine, lambda: 0.0).run(failing(1, LOCKED))


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
    """A view of a study never waits for its workers, and a later transaction on its connection can write."""
    with database.engine.begin() as writing:
        writing.exec_driver_sql("CREATE TABLE t (a INTEGER)")
        assert database.read(lambda connection: connection.scalar(sa.text("SELECT 1"))) == 1
    with database.engine.begin() as connection:
        assert not connection.get_execution_options().get("search_reading")


def test_upsert_inserts_or_updates(open_worker):
    """Each row is identified by its key."""
    engine = open_worker().database.engine
    first = sa.Column("a", sa.Integer, primary_key=True, autoincrement=False)
    second = sa.Column("b", sa.String(9), primary_key=True)
    table = sa.Table("t", sa.MetaData(), first, second, sa.Column("c", sa.Float(53)))
    table.create(engine)
    with engine.begin() as connection:
        upsert(connection, table, [], ("a", "b"))
        upsert(connection, table, [{"a": 1, "b": "x", "c": 0.5}, {"a": 1, "b": "y", "c": 0.5}], ("a", "b"))
        upsert(connection, table, [{"a": 1, "b": "y", "c": None}, {"a": 2, "b": "y", "c": 0.1 + 0.2}], ("a", "b"))
        rows = connection.execute(sa.select(table).order_by("a", "b")).all()
    assert rows == [(1, "x", 0.5), (1, "y", None), (2, "y", 0.1 + 0.2)]
