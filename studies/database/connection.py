"""Opens the database of a study by its URL, and explains what is wrong with it."""

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
    """Connect to the database and create missing tables.

    Args:
        url: SQLAlchemy URL: `sqlite:///file.db`, `postgresql+psycopg://...` or `mysql+pymysql://...`.
        reading: Whether to read only: a database file must exist, and is opened so that it cannot be written.

    Raises:
        StudyError: The URL is invalid, or the database cannot be reached, is locked, or belongs to another program.
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
            # Connections from the creation of the tables begin their transactions in another way.
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
        raise StudyError(f"database {file} not found")
    # The journal needs files next to it, which cannot be created in a read-only folder.
    is_immutable = not os.access(file.parent, os.W_OK) and not file.with_name(f"{file.name}-wal").exists()
    option = "&immutable=1" if is_immutable else ""
    return f"sqlite:///file:{quote(str(file.absolute()))}?mode=ro{option}&uri=true"


def engine_settings(url: URL, *, pooled: bool = True) -> dict[str, Any]:
    backend = url.get_backend_name()
    if backend == "sqlite":
        return {"connect_args": {"timeout": BUSY_TIMEOUT_SECONDS}}
    given = {name: value for name, value in _connection_settings(backend).items() if name not in url.query}
    settings: dict[str, Any] = {"connect_args": given}
    if backend == "mysql":
        # The default isolation locks the gaps between rows, so that concurrent inserts wait for each other.
        settings["isolation_level"] = "READ COMMITTED"
    pool = {"poolclass": FewConnections, "pool_size": 1, "max_overflow": 1, "pool_timeout": TURN_SECONDS}
    return settings | (pool | {"pool_pre_ping": True, "pool_recycle": 1800} if pooled else {})


def _connection_settings(backend: str) -> dict[str, Any]:
    """Return timeouts that detect a cut connection; the drivers' own take hours."""
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
    # A deferred transaction that later writes can lose a race after its reads.
    driver = connection.connection.dbapi_connection
    if isinstance(driver, sqlite3.Connection):
        driver.isolation_level = None
        if connection.info.get("search_wal") is None:
            driver.execute("PRAGMA journal_mode=WAL")
            driver.execute("PRAGMA synchronous=NORMAL")
            connection.info["search_wal"] = True
    connection.exec_driver_sql("BEGIN" if connection.get_execution_options().get(READING) else "BEGIN IMMEDIATE")


def _refuse_foreign_file(file: Path) -> None:
    """Raise unless the file is a database of Optuna, before anything is written to it."""
    if file.is_dir():
        raise StudyError(f"database {file} is a folder\nhint: pass the path of a file")
    if not file.exists() or file.stat().st_size == 0:
        return
    # A process that was killed while it created the database leaves a journal, which only a writer can roll back.
    mode = "rw" if file.with_name(f"{file.name}-journal").exists() else "ro"
    try:
        with contextlib.closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode={mode}", uri=True)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.OperationalError as error:
        raise StudyError(f"cannot open database {file}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise StudyError(f"{file} is not a SQLite database\nhint: move it away, or pass another --storage") from error
    if tables and "trials" not in tables:
        raise StudyError(f"database {file} belongs to another program\nhint: use another file for the study")


def engine_of(study: optuna.Study) -> sqlalchemy.Engine:
    """Return the engine of a study's database, for the tables of search."""
    storage: Any = study._storage
    engine: sqlalchemy.Engine = getattr(storage, "_backend", storage).engine
    return engine
