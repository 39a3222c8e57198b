"""Kill, stop and suspend hundreds of workers, then check that their study lost nothing.

    python benchmarks/chaos.py [--trials 400] [--kills 200] [--stores sqlite postgresql] [--seed 0]
    python benchmarks/chaos.py --strikes 300 --outages 1 12 [--lost-after 2] [--stores sqlite postgresql] [--seed 0]
    python benchmarks/chaos.py --training [--trials 200] [--strikes 40] [--stores sqlite postgresql] [--seed 0]

Four workers run at a time and are replaced when they die. They send a heartbeat every 0.3 s and are lost after 2 s.
They do everything that a worker does except training: their trials sleep for 5 epochs of 0.2 s. PostgreSQL crashes in
between. With `--training` they train a tiny network for 8 epochs of at least 0.3 s; checkpoints are truncated as well,
and where a small disk can be mounted, the disk that holds them and SQLite's file is full for a while.

`--outages FROM TO` sets how many seconds outages last; most are short. The server stays down after a crash, SQLite's
file is locked, and all workers are suspended at once, as with their machine. Only workers that were killed, stopped or
suspended alone may lose a trial then.

At the end the script compares every trial, epoch and value with those of an undisturbed run. It exits with 1 if
anything differs, or if the study ended before every kind of strike had happened.
"""

import argparse
import contextlib
import sys
import tempfile
import time
from pathlib import Path

from evidence import machine

from studies.database.urls import sqlite_url
from tests.support import training
from tests.support.chaos import Chaos, small_disk
from tests.support.invariants import attempts, differences, faults
from tests.support.servers import Postgres, postgres
from tests.support.sleeping_workers import NAME, SleepSettings, WorkerPool

PATIENCE_SECONDS = 3600.0


def main() -> None:
    """Run the chaos and print its outcome."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--training", action="store_true")
    parser.add_argument("--trials", type=int, help="400, or 200 that train")
    parser.add_argument("--outages", nargs=2, type=float, metavar=("FROM", "TO"), help="seconds that outages last")
    parser.add_argument("--lost-after", type=float, default=2.0, help="seconds; not with --training")
    parser.add_argument("--strikes", type=int, help="of any kind: no limit, or 40 at workers that train")
    parser.add_argument(
        "--kills", type=int, help="workers killed, told to end or stopped: 200, or no limit with --outages"
    )
    parser.add_argument("--stores", nargs="+", choices=["sqlite", "postgresql"], default=["sqlite", "postgresql"])
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    # Where outages are counted, the study must last for all strikes: four workers end four trials a second at most.
    lasting = 4 * given.strikes if given.outages and given.strikes else 400
    given.trials = given.trials or (200 if given.training else lasting)
    given.kills = given.kills or (10**6 if given.outages else 200)
    given.strikes = given.strikes or (40 if given.training else 10**6)
    print(machine("optuna", "sqlalchemy", "psycopg", *(["keras", "tensorflow"] * given.training)), flush=True)
    wrong = []
    for store in given.stores:
        with (
            tempfile.TemporaryDirectory() as folder,
            contextlib.nullcontext() if store == "sqlite" else postgres() as server,
        ):
            wrong += (_training if given.training else _sleeping)(Path(folder), server, given)
    sys.exit(1 if wrong else 0)


def _sleeping(folder: Path, server: Postgres | None, given: argparse.Namespace) -> list[str]:
    file = folder / "study.db"
    url = server.new_database() if server else sqlite_url(file)
    plan = SleepSettings(url, given.trials, seconds=0.2, lost_after_seconds=given.lost_after)
    chaos = Chaos(
        WorkerPool(plan.command, folder, 4, most_starts=10**6),
        given.seed,
        given.strikes,
        (0.1, 0.8) if given.outages else (0.2, 1.5),
        stall=2 * given.lost_after,
        server=server,
        file=None if server else file,
        outages=given.outages and tuple(given.outages),
        most_kills=given.kills,
    )
    seconds = _endured(chaos)
    calm_url = sqlite_url(folder / "calm.db")
    calm = WorkerPool(SleepSettings(calm_url, given.trials, seconds=0.0).command, folder, 1)
    calm.start()
    calm.wait(PATIENCE_SECONDS)
    wrong = faults(plan.url, NAME, given.trials, plan.epochs) + differences(plan.url, calm_url, NAME)
    if attempts(plan.url) > chaos.kills:
        wrong.append(f"{attempts(plan.url)} trials were taken from their workers, of which {chaos.kills} were struck")
    return _told(chaos, plan.url, given.trials, seconds, wrong)


def _training(folder: Path, server: Postgres | None, given: argparse.Namespace) -> list[str]:
    (folder / "calm").mkdir()
    calm_url = training.train_in_peace(folder / "calm", given.trials)
    with small_disk(folder / "disk") as disk:
        place = folder / "disk"
        runs = training.run_folder(place)
        url = server.new_database() if server else sqlite_url(place / "study.db")
        command, environment = training.command(place, url, given.trials), training.environment(epoch_seconds=0.3)
        chaos = Chaos(
            WorkerPool(command, folder, 4, environment, most_starts=10**6),
            given.seed,
            given.strikes,
            (2.0, 6.0),
            server=server,
            checkpoints=runs / "checkpoints",
            disk=disk,
            most_kills=given.kills,
        )
        seconds = _endured(chaos)
        wrong = faults(url, training.NAME, given.trials, training.EPOCHS) + differences(url, calm_url, training.NAME)
        left = [str(path) for path in runs.rglob("*") if path.is_file() and path.name != "command.json"]
        return _told(chaos, url, given.trials, seconds, [*wrong, *(f"{path} is left" for path in left)])


def _endured(chaos: Chaos) -> float:
    """Strike until the study is over; returns the seconds it took."""
    began = time.monotonic()
    chaos.pool.start()
    try:
        chaos.run(PATIENCE_SECONDS)
    finally:
        chaos.pool.end()
    return time.monotonic() - began


def _told(chaos: Chaos, url: str, trials: int, seconds: float, wrong: list[str]) -> list[str]:
    """Print what happened and what is wrong; returns the latter."""
    wrong = wrong + [f"the study was over before any of this: {name}" for name in chaos.missing]
    strikes = ", ".join(f"{count} {name}" for name, count in sorted(chaos.counts.items()))
    print(f"{'postgresql' if chaos.server else 'sqlite'}: {trials} trials in {seconds:.0f} s; {strikes}; ", end="")
    print(f"{chaos.pool.started} workers were started, trials went on with another {attempts(url)} times")
    print(
        "\n".join(wrong) or "  0 lost, 0 double, 0 running, every curve whole, every value as without chaos", flush=True
    )
    return wrong


if __name__ == "__main__":
    main()
