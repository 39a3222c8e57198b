"""Measure the throughput of many workers on one PostgreSQL, as a fraction of the ideal and next to a plain Optuna loop.

    python benchmarks/throughput.py [--workers 1 4 8 16 32] [--trials-each 8] [--sides search optuna]

Trials sleep for 2 s in 5 epochs and report each. Every worker is a process; they begin together once all of them have
opened the study. The time runs from there until the last trial has ended; the ideal is 2 s times the trials of each
worker. Plain Optuna runs `study.optimize` in as many processes, with the trials divided among them beforehand.
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict

import optuna
from evidence import machine

from tests.support.servers import Postgres, postgres
from tests.support.sleeping_workers import NAME, SleepSettings

SECONDS, EPOCHS = 2.0, 5
PLAIN = """
import sys, time, optuna
url, trials, seconds, epochs = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.load_study(
    study_name="sleeping", storage=url, sampler=optuna.samplers.RandomSampler(), pruner=optuna.pruners.NopPruner()
)
print("ready", flush=True)
sys.stdin.readline()
def objective(trial):
    value = trial.suggest_float("dropout", 0.0, 0.5)
    trial.suggest_float("learning_rate", 1e-3, 1e-1, log=True)
    trial.suggest_int("filters", 2, 8, step=2)
    trial.suggest_categorical("batch_size", (64, 128))
    for epoch in range(1, epochs + 1):
        time.sleep(seconds / epochs)
        trial.report(value, epoch)
        trial.should_prune()
    return value
study.optimize(objective, n_trials=trials)
"""


def main() -> None:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 4, 8, 16, 32])
    parser.add_argument("--trials-each", type=int, default=8)
    parser.add_argument("--sides", nargs="+", default=["search", "optuna"])
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print(machine("optuna", "sqlalchemy", "psycopg"), flush=True)
    with postgres() as server:
        for workers in given.workers:
            for side in given.sides:
                seconds = _measure(server, side, workers, given.trials_each)
                share = given.trials_each * SECONDS / seconds
                print(f"{workers:3} workers, {side:6}: {seconds:6.1f} s, {share:5.1%} of the ideal", flush=True)


def _measure(server: Postgres, side: str, workers: int, each: int) -> float:
    url = server.new_database()
    command = _search(url, workers * each) if side == "search" else _optuna(url, each)
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(workers)
    ]
    try:
        for process in processes:
            process.stdout.readline()  # type: ignore[union-attr]
        began = time.time()
        for process in processes:
            process.stdin.write("go\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
        for process in processes:
            process.communicate()
    finally:
        for process in processes:
            process.kill()
    return _last_end(url, workers * each) - began


def _search(url: str, trials: int) -> list[str]:
    plan = SleepSettings(url, trials, EPOCHS, SECONDS / EPOCHS, 2.0, 60.0, is_open_first=True)
    return [sys.executable, "-m", "tests.support.sleeping_workers", json.dumps(asdict(plan))]


def _optuna(url: str, each: int) -> list[str]:
    storage = optuna.storages.RDBStorage(url)
    optuna.create_study(study_name=NAME, storage=storage, direction="maximize")
    storage.engine.dispose()
    return [sys.executable, "-c", PLAIN, url, str(each), str(SECONDS), str(EPOCHS)]


def _last_end(url: str, trials: int) -> float:
    """When the last trial ended, in seconds since 1970."""
    storage = optuna.storages.RDBStorage(url)
    found = optuna.load_study(study_name=NAME, storage=storage).get_trials(deepcopy=False)
    storage.engine.dispose()
    ends = [trial.datetime_complete.timestamp() for trial in found if trial.datetime_complete]
    if len(ends) != trials:
        raise RuntimeError(f"{len(ends)} trials ended, not {trials}")
    return max(ends)


if __name__ == "__main__":
    main()
