"""Measure how long `search run digits` takes, and the accuracy of the model that it finds.

    python benchmarks/digits.py [--runs 3]

Each run starts the program in an empty folder, as a new user does. Every run uses another seed, so that the spread
includes that of the search, not only that of the machine.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from evidence import machine, spread


def main() -> None:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    print(machine("keras", "tensorflow", "optuna"))
    rows = [_run(seed) for seed in range(runs)]
    for name in rows[0]:
        print(f"{name:18} {spread([row[name] for row in rows], unit='')}")


def _run(seed: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "search.cli", "run", "digits", "--seed", str(seed), "--quiet"]
        began = time.perf_counter()
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds = time.perf_counter() - began
        metrics = json.loads((Path(folder) / "runs/digits/best/metrics.json").read_text())
    return {
        "seconds": seconds,
        "trials an hour": 3600 * sum(metrics["trials"].values()) / metrics["seconds"]["search"],
        "baseline": metrics["baseline"]["value"],
        "best": metrics["best"]["value"],
        "test accuracy": metrics["test"]["accuracy"],
    }


if __name__ == "__main__":
    main()
