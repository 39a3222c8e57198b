"""Measure how soon another worker resumes the trial of a killed one.

    python benchmarks/takeover.py [--kills 20] [--stores sqlite postgresql]

Two workers with the default settings share a study of one trial: one runs it, the other is idle. The first is killed
with SIGKILL; the time runs until the other has started its trial. The workers do everything except training. A new
worker then becomes the idle one.
"""

import argparse
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from database import urls
from evidence import machine, spread

from studies.database.workers import HEARTBEAT_SECONDS, LOST_AFTER_SECONDS
from tests.support.sleeping_workers import SleepSettings, WorkerPool


def main() -> None:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--stores", nargs="+", default=["sqlite", "postgresql"])
    given = parser.parse_args()
    print(machine("optuna", "sqlalchemy", "psycopg"))
    print(f"heartbeat every {HEARTBEAT_SECONDS:g} s, lost after {LOST_AFTER_SECONDS:g} s of silence")
    for store in given.stores:
        with urls(store) as new_url:
            print(f"{store:10} {spread(_take_overs(new_url, given.kills))}", flush=True)


def _take_overs(new_url: Callable[[], str], kills: int) -> list[float]:
    plan = SleepSettings(new_url(), 1, 10**6, 0.2, HEARTBEAT_SECONDS, LOST_AFTER_SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        pool = WorkerPool(plan.command, Path(folder), 2)
        pool.start()
        try:
            return [_take_over(pool, kill) for kill in range(kills)]
        finally:
            pool.end()


def _take_over(pool: WorkerPool, kill: int) -> float:
    """Kill the worker that trains; returns after how many seconds another has begun."""
    _wait(lambda: len(_began(pool)) == kill + 1 and _are_ready(pool))
    trains = next(index for index, worker in enumerate(pool.workers) if "began" in _said(pool, worker.pid))
    at = time.time()
    pool.workers[trains].kill()
    pool.workers[trains].wait()
    _wait(lambda: len(_began(pool)) == kill + 2)
    pool.look_after()
    return max(_began(pool)) - at


def _began(pool: WorkerPool) -> list[float]:
    return [float(second) for second in re.findall(r"^([\d.]+) began", pool.output(), re.MULTILINE)]


def _are_ready(pool: WorkerPool) -> bool:
    return all("joined" in _said(pool, worker.pid) for worker in pool.workers)


def _said(pool: WorkerPool, pid: int) -> str:
    logs = (log.read_text() for log in pool.folder.glob("worker-*.log"))
    return next((text for text in logs if text.startswith(f"ready {pid}\n")), "")


def _wait(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120.0
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError("nobody has taken the trial over")
        time.sleep(0.02)


if __name__ == "__main__":
    main()
