"""Lets one process at a time create tables and studies; the others wait for a limited time, with a warning."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock
import sqlalchemy
from sqlalchemy import exc
from sqlalchemy.engine import URL

from spaces.errors import OutputError, StudyError
from studies.database.connection import drivers_named, engine_settings
from studies.database.errors import translate_errors
from studies.database.urls import parse_url, redact_url

CREATION_TIMEOUT_SECONDS, WARN_AFTER_SECONDS, SECONDS_BETWEEN_TRIES = 60.0, 5.0, 0.1
_LOCKS = {
    "postgresql": (
        "SELECT pg_try_advisory_lock(7315728)",
        "SELECT pg_advisory_unlock(7315728)",
        "SELECT 'SELECT pg_terminate_backend(' || pid || ')' FROM pg_locks WHERE locktype = 'advisory' AND granted "
        "AND objid = 7315728 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    ),
    "mysql": (
        "SELECT GET_LOCK('search-schema', 0)",
        "SELECT RELEASE_LOCK('search-schema')",
        "SELECT CONCAT('KILL ', IS_USED_LOCK('search-schema'))",
    ),
}
"""Statements that acquire the lock if it is free, release it, and return the statement that ends its holder."""
LOG = logging.getLogger(__name__)


@contextlib.contextmanager
def schema_lock(url: str) -> Iterator[None]:
    """Hold a lock while tables and studies are created, which neither Optuna nor SQLAlchemy does safely otherwise.

    Raises:
        StudyError: Another process has held the lock for too long, or the database cannot be used.
    """
    parsed = parse_url(url)
    if parsed.get_backend_name() != "sqlite":
        with translate_errors(url), drivers_named(url), _server_lock(parsed):
            yield
    else:
        with _file_lock(Path(parsed.database or "")):
            yield


@contextlib.contextmanager
def _file_lock(database: Path) -> Iterator[None]:
    lock = filelock.FileLock(database.with_name(f".{database.name}.lock"))

    def try_acquire() -> bool:
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            return False
        return True

    try:
        _wait_for_lock(try_acquire, str(database), lambda: f"stop the process that `fuser {lock.lock_file}` shows")
    except OSError as error:
        raise OutputError(
            f"cannot write to {database.parent}: {error.strerror}\nhint: pass a different --output"
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _server_lock(url: URL) -> Iterator[None]:
    """Hold a lock that the server drops when the connection ends."""
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, **engine_settings(url, pooled=False))
    acquire, release, kill = (sqlalchemy.text(statement) for statement in _LOCKS[url.get_backend_name()])
    # Servers end a transaction that is idle for too long, so the lock is held outside one.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:

        def remedy() -> str:
            return f"stop that process on its machine, or on the server with `{connection.scalar(kill)}`"

        _wait_for_lock(
            lambda: bool(connection.scalar(acquire)), redact_url(url.render_as_string(hide_password=False)), remedy
        )
        try:
            yield
        finally:
            with contextlib.suppress(exc.SQLAlchemyError):
                connection.execute(release)


def _wait_for_lock(try_acquire: Callable[[], bool], database: str, remedy: Callable[[], str]) -> None:
    """Try to acquire a lock until that returns True, and log a warning after a while.

    Raises:
        StudyError: Another process has held it until the timeout; `remedy` returns the hint for ending that process.
    """
    began, is_logged = time.monotonic(), False
    while not try_acquire():
        waited = time.monotonic() - began
        if waited >= CREATION_TIMEOUT_SECONDS:
            raise StudyError(
                f"database {database} is locked by another process that creates a study (waited {waited:.0f} s)\n"
                f"hint: {remedy()}, then run the command again"
            )
        if waited >= WARN_AFTER_SECONDS and not is_logged:
            LOG.warning(
                "waiting up to %.0f s for another process that creates tables or a study in database %s",
                CREATION_TIMEOUT_SECONDS,
                database,
            )
            is_logged = True
        time.sleep(SECONDS_BETWEEN_TRIES)
