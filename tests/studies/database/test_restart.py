"""A database that restarts, is full or unreachable loses nothing."""

import os
import signal
import time

import pytest

from studies.database.urls import sqlite_url
from tests.support.chaos import Chaos, small_disk
from tests.support.invariants import attempts, faults
from tests.support.servers import postgres
from tests.support.sleeping_workers import NAME, SleepSettings, WorkerPool

pytestmark = pytest.mark.slow


def survive(folder, url, **strikes):
    """Run four workers whose database fails three times; none is replaced, and no trial is evaluated twice."""
    plan = SleepSettings(url, 24, seconds=0.3, lost_after_seconds=30.0)
    pool = WorkerPool(plan.command, folder, 4, most_starts=4)
    pool.start()
    try:
        pool.wait_until_joined()
        chaos = Chaos(pool, 0, 3, (1.0, 2.0), signals=(), **strikes)
        chaos.run(120.0)
    finally:
        pool.end()
    assert (chaos.missing, faults(url, NAME, 24, 5), attempts(url)) == ([], [], 0)
    assert [worker.returncode for worker in pool.workers] == [0] * 4, pool.output()


def test_study_survives_server_crashes(tmp_path):
    """The workers resume once the server is back."""
    with postgres(settings={"fsync": "off"}) as server:
        survive(tmp_path, server.new_database(), server=server)


def test_study_survives_full_disk(tmp_path):
    """The workers resume once there is space."""
    with small_disk(tmp_path / "disk") as disk:
        if disk is None:
            pytest.skip("a small file system cannot be mounted here")
        survive(tmp_path, sqlite_url(disk / "study.db"), disk=disk)


@pytest.mark.parametrize("worker_signal", [signal.SIGKILL, signal.SIGSTOP])
def test_lost_worker_is_replaced(url, tmp_path, worker_signal):
    """Its trial is evaluated once; a stalled worker reports the lost claim and continues."""
    plan = SleepSettings(url, 4, seconds=0.5)
    pool = WorkerPool(plan.command, tmp_path, 2, most_starts=2)
    pool.start()
    try:
        while pool.output().count("began") < 2:
            time.sleep(0.05)
        os.kill(pool.workers[0].pid, worker_signal)
        if worker_signal == signal.SIGKILL:
            assert pool.workers[1].wait(60) == 0
        else:
            time.sleep(4.0)
            os.kill(pool.workers[0].pid, signal.SIGCONT)
            pool.wait(60.0)
            assert "lost the claim on trial" in pool.output()
    finally:
        pool.end()
    assert faults(url, NAME, 4, 5) == []
    assert attempts(url) == 1
