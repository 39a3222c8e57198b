"""Which URLs of databases are accepted, and what is said of the others."""

import importlib.util

import pytest

from spaces.errors import StudyError
from studies.database.urls import check_url, parse_url


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("postgres://u:hunter2@h/d", "postgresql+psycopg://"),
        ("postgresql+asyncpg://u:hunter2@h/d", "postgresql+psycopg://"),
        ("postgresql+pg8000://u:hunter2@h/d", "postgresql+psycopg://"),
        ("mariadb://u:hunter2@h/d", "mysql+pymysql://"),
        ("mariadb+pymysql://u:hunter2@h/d", "mysql+pymysql://"),
        ("mysql+mysqlconnector://u:hunter2@h/d", "mysql+pymysql://"),
        ("mysql+aiomysql://u:hunter2@h/d", "mysql+pymysql://"),
        ("sqlite+aiosqlite:///study.db", "sqlite://"),
        ("oracle://u:hunter2@h/d", "postgresql+psycopg"),
        ("mssql+pyodbc://u:hunter2@h/d", "postgresql+psycopg"),
        ("mongodb://u:hunter2@h/d", "mysql+pymysql"),
    ],
)
def test_other_databases_and_drivers_are_refused_with_what_to_write(url, written):
    """The message names the URL that works, and no password."""
    with pytest.raises(StudyError, match="is not supported") as refused:
        check_url(url)
    assert written in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "missing", "told"),
    [
        ("mysql://u:hunter2@h/d", "MySQLdb", r"(?s)mysqldb.*write mysql\+pymysql://.*or pip install mysqlclient"),
        (
            "postgresql+psycopg2://u:hunter2@h/d",
            "psycopg2",
            r"(?s)psycopg2.*write postgresql\+psycopg://.*psycopg2-binary",
        ),
        ("postgresql://u:hunter2@h/d", "psycopg", r"pip install 'psycopg\[binary\]'"),
        ("mysql+pymysql://u:hunter2@h/d", "pymysql", "pip install pymysql"),
    ],
)
def test_the_right_driver_is_named(monkeypatch, url, missing, told):
    """A URL may stand for a driver that is not the one search recommends."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == missing else find(name, *more))
    with pytest.raises(StudyError, match=told) as refused:
        check_url(url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite+pysqlite:///:memory:",
        "sqlite:///file::memory:?cache=shared&uri=true",
        "sqlite:///file:study?mode=memory&uri=true",
        "sqlite:///study.db?mode=memory",
    ],
)
def test_a_database_in_memory_is_refused(url):
    """It would be lost with the process."""
    with pytest.raises(StudyError, match="in-memory SQLite"):
        parse_url(url)


def test_usual_urls_are_accepted():
    """A file, and the servers that the documentation names."""
    for url in ("sqlite:///study.db", "sqlite:////tmp/a b.db", "postgresql+psycopg://h/d", "mysql+pymysql://h/d"):
        check_url(url)
