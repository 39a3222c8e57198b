"""Databases of every supported kind, each test with an empty one."""

import os

import optuna
import pytest
import sqlalchemy as sa

from studies.database.create_study import create_study
from studies.database.study_control import Limits, set_limits
from studies.database.urls import sqlite_url
from studies.settings import Study
from tests.studies.database.stores import MYSQL
from tests.support.fakes import DATA, TINY
from tests.support.servers import MYSQL_VARIABLE, drop_database, new_database, postgres, with_database

STORES = ("sqlite", "postgresql", MYSQL)


@pytest.fixture(scope="session")
def postgres_server():
    """Start one PostgreSQL for all tests of this process, without syncing to disk."""
    with postgres(settings={"fsync": "off"}) as server:
        yield server


@pytest.fixture
def mysql_url():
    """Return the URL of an empty database on the given MariaDB."""
    server = os.environ.get(MYSQL_VARIABLE)
    if not server:
        pytest.skip(f"no MariaDB: set {MYSQL_VARIABLE}")
    name = new_database(server)
    yield with_database(server, name)
    drop_database(server, name)


@pytest.fixture(params=STORES)
def url(request, tmp_path):
    """Return the URL of an empty database of each kind in turn."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "study.db")
    if request.param == "postgresql":
        return request.getfixturevalue("postgres_server").new_database()
    return request.getfixturevalue("mysql_url")


@pytest.fixture
def engines():
    """Collect engines whose connections are closed after the test."""
    kept = []
    yield kept
    for engine in kept:
        engine.dispose()


@pytest.fixture
def open_worker(url, engines):
    """Open a study with its own connections, as a separate process would."""

    def opened(trials: int = 6, name: str = "tiny"):
        found = create_study(url, name, TINY, Study(trials=trials), DATA)
        engines.append(found.database.engine)
        set_limits(found.database, found.study_id, Limits(trials))
        return found

    return opened


@pytest.fixture
def plain_storage(url, engines):
    """Open the database with Optuna alone."""

    def opened():
        storage = optuna.storages.RDBStorage(url, engine_kwargs={"poolclass": sa.NullPool})
        engines.append(storage.engine)
        return storage

    return opened


@pytest.fixture
def open_plainly(plain_storage):
    """Open the study with Optuna alone."""
    return lambda: optuna.load_study(study_name="tiny", storage=plain_storage())
