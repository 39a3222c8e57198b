"""Measure how long a user waits for the first output.

    python benchmarks/startup.py [--runs 9]

The script times `search --help` from start to end, and `search run digits` from start to its first line, each in a
fresh process.
"""

import argparse
import subprocess
import sys
import tempfile
import time

from evidence import machine, spread

PROGRAM = [sys.executable, "-m", "search.cli"]


def main() -> None:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    print(machine("typer", "rich"))
    print(f"search --help          {spread([_help() for _ in range(runs)])}")
    print(f"search run, first line {spread([_first_line() for _ in range(runs)])}")


def _help() -> float:
    began = time.perf_counter()
    subprocess.run([*PROGRAM, "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def _first_line() -> float:
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        process = subprocess.Popen(
            [*PROGRAM, "run", "digits"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        with process:
            process.stdout.readline()  # type: ignore[union-attr]
            seconds = time.perf_counter() - began
            process.kill()
    return seconds


if __name__ == "__main__":
    main()
