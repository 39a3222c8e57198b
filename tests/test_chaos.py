"""Whatever is killed, stopped, restarted, torn or full: the study ends as if nothing had happened."""

import contextlib

import pytest

from studies.database.urls import sqlite_url
from tests.support import training
from tests.support.chaos import KILLS, Chaos, small_disk
from tests.support.invariants import attempts, best_trial, differences, faults
from tests.support.servers import postgres
from tests.support.sleeping_workers import NAME, SleepSettings, WorkerPool

TRIALS, STRIKES = 12, 8


def matrix(names, *cases):
    """Run the first case with the slow tests, the others with the exhaustive ones."""
    marks = [pytest.mark.slow, *[pytest.mark.exhaustive] * (len(cases) - 1)]
    params = [pytest.param(*case, marks=mark) for case, mark in zip(cases, marks, strict=True)]
    return pytest.mark.parametrize(names, params, indirect=["store"])


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request):
    """A PostgreSQL, or nothing where the database is a file."""
    with contextlib.nullcontext() if request.param == "sqlite" else postgres(settings={"fsync": "off"}) as server:
        yield server


@pytest.fixture(scope="module")
def calm_url(tmp_path_factory):
    """The database of the same study, searched by one worker in peace."""
    return training.train_in_peace(tmp_path_factory.mktemp("undisturbed"), TRIALS)


@pytest.mark.slow
def test_a_study_in_chaos_ends_as_one_in_peace(store, tmp_path, calm_url):
    """Four workers that train: every trial once, every curve whole, every value the same to the last bit."""
    folder = tmp_path / "disk"
    with small_disk(folder) as disk:
        url = store.new_database() if store else sqlite_url(folder / "study.db")
        runs = training.run_folder(folder)
        pool = WorkerPool(training.command(folder, url, TRIALS), tmp_path, 4, training.environment(epoch_seconds=0.3))
        endure(
            Chaos(pool, 1, STRIKES, (0.5, 1.5), server=store, checkpoints=runs / "checkpoints", disk=disk),
            faults=lambda: faults(url, training.NAME, TRIALS, training.EPOCHS),
        )
        assert differences(url, calm_url, training.NAME) == []
        left = {path.name for path in runs.rglob("*") if path.is_file()} - {"command.json"}
        assert {name.split("-")[2] for name in left} <= {f"{best_trial(url, training.NAME):04}"}


@matrix(["store"], ["postgresql"], ["sqlite"])
def test_thirty_strikes_at_workers_that_train_nothing(store, tmp_path):
    """More often, and in less time: all of a worker but the training."""
    plan = SleepSettings(store.new_database() if store else sqlite_url(tmp_path / "study.db"), 60, seconds=0.2)
    endure(
        Chaos(WorkerPool(plan.command, tmp_path, 4), 3, 30, (0.2, 1.0), server=store),
        faults=lambda: faults(plan.url, NAME, plan.trials, plan.epochs),
    )


@matrix(
    ["store", "signals", "strikes"],
    ["sqlite", KILLS, 15],
    ["postgresql", KILLS, 15],
    ["sqlite", (), 6],
    ["postgresql", (), 6],
)
def test_outages_longer_than_the_heartbeat_cost_no_healthy_worker_its_trial(store, tmp_path, signals, strikes):
    """The database is away, and the machine suspended: only workers that were killed or stopped alone lose trials."""
    file = tmp_path / "study.db"
    plan = SleepSettings(store.new_database() if store else sqlite_url(file), 50, seconds=0.2, lost_after_seconds=2.0)
    pool = WorkerPool(plan.command, tmp_path, 4)
    locked = None if store else file
    chaos = Chaos(pool, 5, strikes, (0.2, 1.0), server=store, file=locked, outages=(1.0, 6.0), signals=signals)
    endure(chaos, faults=lambda: faults(plan.url, NAME, plan.trials, plan.epochs))
    assert attempts(plan.url) <= chaos.kills, dict(chaos.counts)


def endure(chaos, faults):
    """Let the pool work in chaos until its study is over, and look at what came of it."""
    chaos.pool.start()
    try:
        chaos.run(400.0)
    finally:
        chaos.pool.end()
    assert faults() == [], f"{dict(chaos.counts)}\n{chaos.pool.output()[-5000:]}"
    assert chaos.missing == [], f"the study was over too soon: {dict(chaos.counts)}"
    codes = {worker.returncode for worker in chaos.pool.workers}
    assert codes <= {0, 143}, chaos.pool.output()[-5000:]
