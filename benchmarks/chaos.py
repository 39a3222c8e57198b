"""A long chaos: hundreds of workers killed, told to end and stopped, and what came of their study.

    python benchmarks/chaos.py [--kills 200] [--trials 400] [--stores sqlite postgresql] [--seed 0]

Four workers, replaced when they die, with a heartbeat every 0.3 s and lost after 2 s. They do all that a worker does
but train: their trials sleep 5 epochs of 0.2 s (tests/light.py; tests/test_chaos.py does the same with real training,
fewer times). PostgreSQL crashes in between. At the end every trial, every epoch and every value is compared with what
an undisturbed run gives. Exits with 1 if anything differs.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from evidence import machine

from studies.storage import sqlite_url
from tests.chaos import Chaos
from tests.light import NAME, Crew, Light
from tests.servers import Postgres, postgres
from tests.whole import attempts, faults, read_whole

PATIENCE_SECONDS = 3600.0


def main() -> None:
    """Strike and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--stores", nargs="+", default=["sqlite", "postgresql"])
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(machine("optuna", "sqlalchemy", "psycopg"), flush=True)
    wrong = []
    for store in given.stores:
        with tempfile.TemporaryDirectory() as folder:
            if store == "sqlite":
                wrong += _endure(sqlite_url(Path(folder) / "study.db"), None, Path(folder), given)
            else:
                with postgres() as server:
                    wrong += _endure(server.new_database(), server, Path(folder), given)
    sys.exit(1 if wrong else 0)


def _endure(url: str, server: Postgres | None, folder: Path, given: argparse.Namespace) -> list[str]:
    light = Light(url, given.trials, seconds=0.2)
    crew = Crew(light.command, folder, 4, most_starts=10**6)
    # More strikes than are wanted: some are crashes of the server, some find nobody to strike.
    chaos = Chaos(crew, given.seed, given.kills * 2, (0.2, 1.5), server=server, most_kills=given.kills)
    began = time.monotonic()
    crew.start()
    try:
        chaos.run(PATIENCE_SECONDS)
    finally:
        crew.end()
    seconds = time.monotonic() - began
    wrong = faults(url, NAME, given.trials, light.epochs) + _other_values(url, folder, given.trials)
    strikes = ", ".join(f"{count} {name}" for name, count in sorted(chaos.counts.items()))
    print(f"{'postgresql' if server else 'sqlite'}: {given.trials} trials in {seconds:.0f} s; {strikes}; ", end="")
    print(f"{crew.started} workers were started, {attempts(url)} trials went on with another worker")
    print(
        "\n".join(wrong) or "  0 lost, 0 double, 0 running, every curve whole, every value as without chaos", flush=True
    )
    return wrong


def _other_values(url: str, folder: Path, trials: int) -> list[str]:
    """Where the trials differ from those of one worker that nobody disturbs."""
    calm = sqlite_url(folder / "calm.db")
    crew = Crew(Light(calm, trials, seconds=0.0).command, folder, 1)
    crew.start()
    crew.wait(PATIENCE_SECONDS)
    both = zip(read_whole(calm, NAME)[0], read_whole(url, NAME)[0], strict=False)
    return [
        f"trial {mine.number} has other values than without chaos"
        for mine, other in both
        if (mine.params, mine.value, mine.intermediate_values) != (other.params, other.value, other.intermediate_values)
    ]


if __name__ == "__main__":
    main()
