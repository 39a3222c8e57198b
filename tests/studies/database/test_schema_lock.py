"""Processes that create tables and studies wait for one another, but never without end and without a word."""

import pytest

from spaces.errors import StudyError
from studies.database import schema_lock as module
from studies.database.schema_lock import schema_lock


@pytest.fixture
def impatient(monkeypatch):
    """Waits for moments in place of minutes."""
    monkeypatch.setattr(module, "WARN_AFTER_SECONDS", 0.0)
    monkeypatch.setattr(module, "CREATION_TIMEOUT_SECONDS", 0.3)


def test_waiting_is_bounded_and_reported(url, impatient, caplog):
    """It is said once; at last the error says how to end the process that holds the database."""
    ending = {"sqlite": "fuser ", "postgresql": "SELECT pg_terminate_backend(", "mysql": "KILL "}
    said = pytest.raises(StudyError, match=r"locked by another process")
    with schema_lock(url), said as told, schema_lock(url):
        pytest.fail("two processes at once")
    assert ending[url.partition(":")[0].partition("+")[0]] in str(told.value)
    assert ["waiting up to" in record.getMessage() for record in caplog.records] == [True]


def test_the_database_is_free_afterwards(url, impatient):
    """Also after an error inside."""
    with pytest.raises(KeyError), schema_lock(url):
        raise KeyError
    with schema_lock(url):
        pass


def test_the_wait_ends_with_the_holder(url, monkeypatch):
    """The next process begins as soon as the one before is done."""
    first = schema_lock(url)
    first.__enter__()
    monkeypatch.setattr(module.time, "sleep", lambda seconds: first.__exit__(None, None, None))
    with schema_lock(url):
        pass
