"""Measure the database cost of a trial next to a plain Optuna loop in the same run.

    python benchmarks/database.py [--trials 100] [--rounds 5] [--stores sqlite postgresql]

Each trial suggests 5 parameters, reports 10 epochs, calls `should_prune` after each, and ends. Both sides use Optuna's
random sampler and median pruner and take turns, each on its own database. PostgreSQL runs on this machine with its
default settings. Install the project with the `test` extra first.
"""

import argparse
import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy as sa
from evidence import machine, spread

from studies.database.claims import TrialQueue
from studies.database.create_study import create_study
from studies.database.stored_trials import progress
from studies.database.study_control import Limits, set_limits
from studies.database.urls import sqlite_url
from studies.database.workers import WorkerRegistration
from studies.outcome import COMPLETE, TrialOutcome
from studies.settings import Study
from studies.trials.claimed_trial import ClaimedTrial, claim_next_trial
from tests.support.fakes import DATA, TINY
from tests.support.servers import postgres

EPOCHS = 10


@dataclass
class Counted:
    """Statements and commits of one engine."""

    commits: int = 0
    statements: int = 0

    def watch(self, engine: sa.Engine) -> None:
        """Count from now on."""
        sa.event.listen(engine, "commit", self._commit)
        sa.event.listen(engine, "before_cursor_execute", self._statement)

    def _commit(self, connection: Any) -> None:
        self.commits += 1

    def _statement(self, *_: Any) -> None:
        self.statements += 1


def main() -> None:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100, help="trials of each round and side")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--stores", nargs="+", default=["sqlite", "postgresql"])
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print(machine("optuna", "sqlalchemy", "psycopg"))
    for store in given.stores:
        with urls(store) as new_url:
            _compare(store, new_url, given.trials, given.rounds)


@contextlib.contextmanager
def urls(store: str) -> Iterator[Callable[[], str]]:
    """Gives URLs of empty databases."""
    if store == "postgresql":
        with postgres() as server:
            yield server.new_database
        return
    with tempfile.TemporaryDirectory() as folder:
        numbers = iter(range(1000))
        yield lambda: sqlite_url(Path(folder) / f"{next(numbers)}.db")


def _compare(store: str, new_url: Callable[[], str], trials: int, rounds: int) -> None:
    sides = {"plain optuna": _plain(new_url()), "search": _ours(new_url(), trials * (rounds + 1))}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for name, (one_trial, counted) in sides.items():
            counted.commits = counted.statements = 0
            began = time.perf_counter()
            for _ in range(trials):
                one_trial()
            if turn:  # the first warms up
                seconds[name].append((time.perf_counter() - began) / trials * 1000)
    for name, (_, counted) in sides.items():
        costs = f"{counted.commits / trials:.1f} commits, {counted.statements / trials:.0f} statements"
        print(f"{store:10} {name:12} {spread(seconds[name], 'ms a trial')} x {trials} trials; {costs}", flush=True)
    ratios = [ours / plain for ours, plain in zip(seconds["search"], seconds["plain optuna"], strict=True)]
    print(f"{store:10} search takes {spread(ratios, 'of the time of plain optuna')}", flush=True)


def _suggest(trial: optuna.Trial) -> float:
    for name in "abcd":
        trial.suggest_float(name, 0.0, 1.0)
    return trial.suggest_float("e", 1e-5, 1e-1, log=True)


def _plain(url: str) -> tuple[Callable[[], None], Counted]:
    storage = optuna.storages.RDBStorage(url)
    settings: dict[str, Any] = {
        "sampler": optuna.samplers.RandomSampler(seed=0),
        "pruner": optuna.pruners.MedianPruner(),
    }
    study = optuna.create_study(storage=storage, direction="maximize", **settings)
    counted = Counted()
    counted.watch(storage.engine)

    def one_trial() -> None:
        trial = study.ask()
        value = _suggest(trial)
        for epoch in range(1, EPOCHS + 1):
            trial.report(value, epoch)
            trial.should_prune()
        study.tell(trial, value)

    return one_trial, counted


def _ours(url: str, trials: int) -> tuple[Callable[[], None], Counted]:
    opened = create_study(url, "tiny", TINY, Study(), DATA)
    set_limits(opened.database, opened.study_id, Limits(trials))
    member = WorkerRegistration(opened.study_id, "none", lost_after_seconds=3600.0)
    member.register(opened.database)
    queue = TrialQueue(opened.database, member)
    opened.study.pruner = optuna.pruners.MedianPruner()
    counted = Counted()
    counted.watch(opened.database.engine)

    def one_trial() -> None:
        taken = claim_next_trial(opened.study, queue, lambda number: optuna.samplers.RandomSampler(seed=number))
        if not isinstance(taken, ClaimedTrial):
            raise RuntimeError("there are fewer trials than are to be measured")
        value = _suggest(taken.trial)
        taken.write()
        progress(opened.study, taken.claim.trial_budget)
        for epoch in range(1, EPOCHS + 1):
            taken.report(value, epoch)
            taken.storage.record_epoch(epoch, {"loss": 0.5, "accuracy": value, "val_loss": 0.5, "val_accuracy": value})
            taken.trial.should_prune()
            if epoch < EPOCHS:
                taken.write()
        taken.end(TrialOutcome(COMPLETE, value, EPOCHS, EPOCHS, 1.0))
        progress(opened.study, taken.claim.trial_budget)

    return one_trial, counted


if __name__ == "__main__":
    main()
