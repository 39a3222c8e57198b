"""Opens the database of a study by its URL, and says plainly what is wrong with it."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import optuna
import sqlalchemy
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection

from spaces.errors import StudyError
from studies.database.errors import BUSY_TIMEOUT_SECONDS, translate_errors
from studies.database.pool import TURN_SECONDS, FewConnections, ping_rarely, share_one_connection
from studies.database.transactions import READING
from studies.database.urls import missing_driver, parse_url

CONNECT_TIMEOUT_SECONDS = 10


def open_storage(url: str, *, reading: bool = False) -> optuna.storages.RDBStorage:
    """Connect to the database, and create what is missing in it.

    Args:
        url: SQLAlchemy URL: `sqlite:///file.db`, `postgresql+psycopg://...` or `mysql+pymysql://...`.
        reading: Only read: a file must be there, and is opened so that nothing is written to it.

    Raises:
        StudyError: The URL is not one, the database cannot be reached, is locked, or belongs to another program.
    """
    parsed = parse_url(url)
    is_sqlite, opened = parsed.get_backend_name() == "sqlite", url
    if is_sqlite and parsed.database:
        _refuse_foreign_file(Path(parsed.database))
        opened = _read_only(Path(parsed.database)) if reading else url
    with translate_errors(url), drivers_named(url):
        settings = engine_settings(parsed)
        storage = optuna.storages.RDBStorage(opened, engine_kwargs=settings, skip_table_creation=reading)
        if is_sqlite and not reading:
            event.listen(storage.engine, "begin", _begin_immediate)
            # Connections made while the tables were created do not begin as the later ones must.
            storage.engine.dispose()
        if not is_sqlite:
            ping_rarely(storage.engine)
            share_one_connection(storage.engine)
        return storage


@contextlib.contextmanager
def drivers_named(url: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise StudyError(missing_driver(url)) from error


def _read_only(file: Path) -> str:
    if not file.is_file():
        raise StudyError(f"there is no database {file}: check the path")
    # Its journal needs files beside it, which cannot be made in such a folder.
    is_still = not os.access(file.parent, os.W_OK) and not file.with_name(f"{file.name}-wal").exists()
    still = "&immutable=1" if is_still else ""
    return f"sqlite:///file:{quote(str(file.absolute()))}?mode=ro{still}&uri=true"


def engine_settings(url: URL, *, pooled: bool = True) -> dict[str, Any]:
    backend = url.get_backend_name()
    if backend == "sqlite":
        return {"connect_args": {"timeout": BUSY_TIMEOUT_SECONDS}}
    given = {name: value for name, value in _connection_settings(backend).items() if name not in url.query}
    settings: dict[str, Any] = {"connect_args": given}
    if backend == "mysql":
        # Its usual isolation locks the gaps between rows, on which concurrent inserts wait for each other.
        settings["isolation_level"] = "READ COMMITTED"
    pool = {"poolclass": FewConnections, "pool_size": 1, "max_overflow": 1, "pool_timeout": TURN_SECONDS}
    return settings | (pool | {"pool_pre_ping": True, "pool_recycle": 1800} if pooled else {})


def _connection_settings(backend: str) -> dict[str, Any]:
    """Time-outs, so that a link that is cut is noticed; the driver's own say nothing for hours."""
    if backend == "postgresql":
        return {
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 15_000,
        }
    return {"connect_timeout": CONNECT_TIMEOUT_SECONDS, "read_timeout": 60, "write_timeout": 60}


def _begin_immediate(connection: Connection) -> None:
    # A deferred transaction that turns into a write can lose a race it has already read for.
    driver = connection.connection.dbapi_connection
    if isinstance(driver, sqlite3.Connection):
        driver.isolation_level = None
        if connection.info.get("search_wal") is None:
            driver.execute("PRAGMA journal_mode=WAL")
            driver.execute("PRAGMA synchronous=NORMAL")
            connection.info["search_wal"] = True
    connection.exec_driver_sql("BEGIN" if connection.get_execution_options().get(READING) else "BEGIN IMMEDIATE")


def _refuse_foreign_file(file: Path) -> None:
    """Raise if the file is something else than a database of Optuna's, before anything is written to it."""
    if file.is_dir():
        raise StudyError(f"the database {file} is a folder: give a file")
    if not file.exists() or file.stat().st_size == 0:
        return
    # A process that was killed while it created the database has left a journal, which only a writer takes back.
    mode = "rw" if file.with_name(f"{file.name}-journal").exists() else "ro"
    try:
        with contextlib.closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode={mode}", uri=True)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.OperationalError as error:
        raise StudyError(f"the database {file} cannot be opened: {error}") from error
    except sqlite3.DatabaseError as error:
        raise StudyError(f"the file {file} is not a SQLite database: move it away or give another one") from error
    if tables and "trials" not in tables:
        raise StudyError(f"the database {file} belongs to another program: give another file for the study")


def engine_of(study: optuna.Study) -> sqlalchemy.Engine:
    """The engine of a study's database, for tables of our own."""
    storage: Any = study._storage
    engine: sqlalchemy.Engine = getattr(storage, "_backend", storage).engine
    return engine
