"""Supported database URLs, and the messages for others."""

import importlib.util

import pytest

from spaces.errors import StudyError
from studies.database.urls import check_url, parse_url

PREFERRED = {
    "postgresql+psycopg://": ("postgres", "postgresql+asyncpg", "postgresql+pg8000"),
    "mysql+pymysql://": ("mariadb", "mariadb+pymysql", "mysql+mysqlconnector", "mysql+aiomysql"),
    "sqlite://": ("sqlite+aiosqlite",),
    "postgresql+psycopg, mysql+pymysql": ("oracle", "mssql+pyodbc", "mongodb"),
}


@pytest.mark.parametrize(("typed", "written"), [(typed, each) for each in PREFERRED for typed in PREFERRED[each]])
def test_unsupported_url_is_refused(typed, written):
    """The message names a supported URL and no password."""
    with pytest.raises(StudyError, match="is not supported") as refused:
        check_url(f"{typed}://u:hunter2@h/d")
    assert written in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("scheme", "missing", "told"),
    [
        ("mysql", "MySQLdb", r"(?s)mysqldb.*write mysql\+pymysql://.*or pip install mysqlclient"),
        ("postgresql+psycopg2", "psycopg2", r"(?s)psycopg2.*write postgresql\+psycopg://.*psycopg2-binary"),
        ("postgresql", "psycopg", r"pip install 'psycopg\[binary\]'"),
        ("mysql+pymysql", "pymysql", "pip install pymysql"),
    ],
)
def test_missing_driver_is_named(monkeypatch, scheme, missing, told):
    """A URL may select a driver that is not the recommended one."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == missing else find(name, *more))
    with pytest.raises(StudyError, match=told) as refused:
        check_url(f"{scheme}://u:hunter2@h/d")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        *("sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite+pysqlite:///:memory:"),
        *("sqlite:///file::memory:?cache=shared&uri=true", "sqlite:///study.db?mode=memory"),
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
