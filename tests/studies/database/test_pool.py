"""One connection per process, and bounded waits."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from sqlalchemy import exc

from studies.database import pool
from studies.database.pool import FewConnections
from studies.database.tables import STUDIES
from studies.database.trial_writes import Claim
from studies.database.workers import WorkerActivity, WorkerRegistration
from studies.settings import Study
from studies.stop_request import StopRequest
from studies.workers.heartbeat import worker_session
from tests.studies.database.stores import SERVERS
from tests.support.fakes import joined


def connections_to(url):
    """Return the number of connections to a PostgreSQL database."""
    engine = sa.create_engine(sa.make_url(url).set(database="postgres"), poolclass=sa.NullPool)
    # The server's own processes, such as autovacuum, come and go.
    count = "SELECT count(*) FROM pg_stat_activity WHERE datname = :name AND backend_type = 'client backend'"
    with engine.connect() as connection:
        return connection.scalar(sa.text(count), {"name": sa.make_url(url).database})


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_worker_uses_one_connection(open_worker, url):
    """Heartbeat and main thread take turns."""
    opened = open_worker(12)
    # The server takes a moment to end the session that has created the tables.
    until = time.monotonic() + 10.0
    while connections_to(url) > 1 and time.monotonic() < until:
        time.sleep(0.05)
    with worker_session(
        opened.database, WorkerRegistration(opened.study_id, "fake"), WorkerActivity(), StopRequest(), seconds=0.01
    ):
        queue = joined(opened, Study(trials=12))
        while isinstance(queue.claim(), Claim):
            opened.study.get_trials()
            assert connections_to(url) == 1


def test_failed_connection_does_not_block_others():
    """The next thread tries at once."""
    failing, fail = threading.Event(), threading.Event()

    def connect():
        failing.set()
        assert fail.wait(10.0)
        raise exc.OperationalError("", {}, Exception("refused"))

    engine = sa.create_engine("sqlite://", poolclass=FewConnections, pool_timeout=60.0, creator=connect)
    with ThreadPoolExecutor(2) as threads:
        tries = [threads.submit(engine.connect) for _ in range(2)]
        assert failing.wait(10.0)
        fail.set()
        assert [type(each.exception(timeout=30.0)) for each in tries] == [exc.OperationalError] * 2


def test_wait_for_connection_is_bounded():
    """Another thread may keep the connection."""
    engine = sa.create_engine("sqlite://", poolclass=FewConnections, pool_timeout=0.05)
    with engine.connect(), pytest.raises(exc.TimeoutError, match=r"another thread .* for 0\.05 s"):
        engine.connect()
    with engine.connect() as connection:
        assert connection.scalar(sa.select(1)) == 1


@SERVERS
def test_wait_for_lock_is_bounded(open_worker, monkeypatch):
    """The heartbeat tries again later."""
    monkeypatch.setattr(pool, "LOCK_SECONDS", 1)
    one, other = open_worker(), open_worker()
    with one.database.engine.begin() as holding:
        holding.execute(sa.update(STUDIES).values(trial_budget=7))
        with pytest.raises(exc.OperationalError, match=r"[Ll]ock"), other.database.engine.begin() as connection:
            connection.execute(sa.update(STUDIES).values(trial_budget=8))


@SERVERS
def test_locks_of_suspended_process_are_released(open_worker, monkeypatch):
    """The server ends its idle transaction."""
    monkeypatch.setattr(pool, "IDLE_TRANSACTION_SECONDS", 1)
    suspended, other = open_worker(), open_worker()
    with suspended.database.engine.connect() as connection:
        connection.execute(sa.update(STUDIES).values(trial_budget=7))
        other.database.run(lambda changing: changing.execute(sa.update(STUDIES).values(trial_budget=8)))
        with pytest.raises(exc.DBAPIError):
            connection.execute(sa.select(1))
    found = other.database.read(lambda reading: reading.scalar(sa.select(STUDIES.c.trial_budget)))
    assert found == 8
