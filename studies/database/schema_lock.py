"""Lets one process at a time create tables and studies: others wait, but not without end and not without a word."""

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

CREATION_TIMEOUT_SECONDS, TOLD_AFTER_SECONDS, SECONDS_BETWEEN_TRIES = 60.0, 5.0, 0.1
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
"""The statements that take a lock if it is free, give it back, and write the statement that ends its holder."""
LOG = logging.getLogger(__name__)


@contextlib.contextmanager
def schema_lock(url: str) -> Iterator[None]:
    """Hold the database while tables and studies are created: neither Optuna's nor SQLAlchemy's creation is safe else.

    Raises:
        StudyError: Another process has held it for too long, or the database cannot be used.
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

    def is_taken() -> bool:
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            return False
        return True

    try:
        _wait_for_lock(is_taken, str(database), lambda: f"`fuser {lock.lock_file}` names it: end it")
    except OSError as error:
        raise OutputError(
            f"the folder {database.parent} cannot be written ({error.strerror}): give another --output"
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _server_lock(url: URL) -> Iterator[None]:
    """A lock that the server keeps for a session, and drops when its connection ends."""
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, **engine_settings(url, pooled=False))
    take, give, end = (sqlalchemy.text(statement) for statement in _LOCKS[url.get_backend_name()])
    # Outside a transaction, which servers end that is idle for too long.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:

        def remedy() -> str:
            return f"end it on its machine, or on the server with `{connection.scalar(end)}`"

        _wait_for_lock(
            lambda: bool(connection.scalar(take)), redact_url(url.render_as_string(hide_password=False)), remedy
        )
        try:
            yield
        finally:
            with contextlib.suppress(exc.SQLAlchemyError):
                connection.execute(give)


def _wait_for_lock(is_taken: Callable[[], bool], database: str, remedy: Callable[[], str]) -> None:
    """Take a lock, and say after a while that another process holds it.

    Args:
        is_taken: Tries to take it.
        database: What it is of, as it may be shown.
        remedy: What ends its holder.

    Raises:
        StudyError: Another process has held it all the time.
    """
    began, is_told = time.monotonic(), False
    while not is_taken():
        waited = time.monotonic() - began
        if waited >= CREATION_TIMEOUT_SECONDS:
            raise StudyError(
                f"another process, which creates tables or a study, has held the database {database} for "
                f"{waited:.0f} seconds: {remedy()}, then run the same command again"
            )
        if waited >= TOLD_AFTER_SECONDS and not is_told:
            LOG.warning(
                "waiting up to %.0f seconds for another process that creates tables or a study in the database %s",
                CREATION_TIMEOUT_SECONDS,
                database,
            )
            is_told = True
        time.sleep(SECONDS_BETWEEN_TRIES)
