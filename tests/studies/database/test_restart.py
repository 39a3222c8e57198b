"""A database that restarts, is full or unreachable loses nothing."""

import os
import signal
import subprocess
import time

import pytest

from studies.database.urls import sqlite_url
from tests.support.invariants import attempts, faults
from tests.support.servers import postgres
from tests.support.sleeping_workers import NAME, SleepSettings, WorkerPool

pytestmark = pytest.mark.slow


def test_study_survives_server_crashes(tmp_path):
    """The server crashes three times; no trial is evaluated twice."""
    with postgres(settings={"fsync": "off"}) as server:
        plan = SleepSettings(server.new_database(), 24, seconds=0.3, lost_after_seconds=30.0)
        pool = WorkerPool(plan.command, tmp_path, 4, most_starts=4)
        pool.start()
        try:
            for _ in range(3):
                time.sleep(4.0)
                server.stop("immediate")
                time.sleep(1.0)
                server.start()
            pool.wait(120.0)
        finally:
            pool.end()
        assert faults(plan.url, NAME, 24, 5) == []
        assert attempts(plan.url) == 0
    assert [worker.returncode for worker in pool.workers] == [0] * 4, pool.output()


def test_study_survives_full_disk(tmp_path):
    """The workers resume once there is space."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    pool = None
    try:
        plan = SleepSettings(sqlite_url(disk / "study.db"), 12, seconds=0.3, lost_after_seconds=30.0)
        pool = WorkerPool(plan.command, tmp_path, 2, most_starts=2)
        pool.start()
        while "began" not in pool.output():
            time.sleep(0.1)
        with (disk / "ballast").open("wb", buffering=0) as ballast:
            fill(ballast)
        time.sleep(4.0)
        (disk / "ballast").unlink()
        pool.wait(120.0)
        assert faults(plan.url, NAME, 12, 5) == []
        assert attempts(plan.url) == 0
    finally:
        if pool is not None:
            pool.end()
        subprocess.run(["umount", str(disk)], check=True)


def fill(ballast):
    """Write until the disk is full."""
    try:
        while True:
            ballast.write(bytes(4096))
    except OSError:
        return


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
