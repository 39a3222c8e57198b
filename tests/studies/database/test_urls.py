"""Supported database URLs, and the messages for others."""

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
def test_unsupported_url_is_refused(url, written):
    """The message names a supported URL and no password."""
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
def test_missing_driver_is_named(monkeypatch, url, missing, told):
    """A URL may select a driver that is not the recommended one."""
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
def test_in_memory_database_is_refused(url):
    """It cannot be shared or resumed."""
    with pytest.raises(StudyError, match="in-memory SQLite"):
        parse_url(url)


def test_supported_urls_are_accepted():
    """SQLite files, PostgreSQL and MySQL are supported."""
    for url in ("sqlite:///study.db", "sqlite:////tmp/a b.db", "postgresql+psycopg://h/d", "mysql+pymysql://h/d"):
        check_url(url)
