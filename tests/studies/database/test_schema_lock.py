"""Processes that create tables and studies wait for one another, for a limited time."""

import pytest

from spaces.errors import StudyError
from studies.database import schema_lock as module
from studies.database.schema_lock import schema_lock


@pytest.fixture
def short_timeouts(monkeypatch):
    """Shorten the timeouts."""
    monkeypatch.setattr(module, "WARN_AFTER_SECONDS", 0.0)
    monkeypatch.setattr(module, "CREATION_TIMEOUT_SECONDS", 0.3)


def test_wait_is_bounded_and_logged(url, short_timeouts, caplog):
    """The error says how to stop the process that holds the lock."""
    ending = {"sqlite": "fuser ", "postgresql": "SELECT pg_terminate_backend(", "mysql": "KILL "}
    said = pytest.raises(StudyError, match=r"locked by another process")
    with schema_lock(url), said as told, schema_lock(url):
        pytest.fail("two processes at once")
    assert ending[url.partition(":")[0].partition("+")[0]] in str(told.value)
    assert ["waiting up to" in record.getMessage() for record in caplog.records] == [True]


def test_wait_ends_when_lock_is_released(url, short_timeouts, monkeypatch):
    """The next process continues at once; an error in the block releases the lock, too."""
    with pytest.raises(KeyError), schema_lock(url):
        raise KeyError
    first = schema_lock(url)
    first.__enter__()
    monkeypatch.setattr(module.time, "sleep", lambda seconds: first.__exit__(None, None, None))
    with schema_lock(url):
        pass
