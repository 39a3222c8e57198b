"""How fast a folder of images is decoded into the cache, and how fast a second start reads it.

    python benchmarks/decoded_cache.py FOLDER [--runs 5] [--image-size 32]

Each run takes, one after the other: a bare loop over all files on all cores (open, convert, resize, nothing else), a
first start with an empty cache, and a second start with the full one, each in a fresh process. The bare loop is timed
without the start of its processes; the two starts are timed from the first import to the dataset.
"""

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from evidence import machine, spread
from PIL import Image

START = """
import time
began = time.perf_counter()
import sys
from pathlib import Path
from spaces.data import ImageFolder
from studies.data import load
data = load(ImageFolder(sys.argv[1], image_size=int(sys.argv[2]), max_skipped=1.0), Path.cwd(), cache=Path(sys.argv[3]))
print(time.perf_counter() - began, len(data.train) + len(data.validation) + len(data.test), len(data.skipped))
"""


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    paths = sorted(
        str(path) for path in arguments.folder.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"}
    )
    print(machine("pillow", "numpy"))
    print(f"{arguments.folder.name}: {len(paths)} files to {arguments.image_size} pixels, {arguments.runs} runs")
    rows = [_run(arguments.folder, paths, arguments.image_size) for _ in range(arguments.runs)]
    for name, column in zip(("bare loop", "first start", "second start"), zip(*rows, strict=True), strict=True):
        print(f"{name:12}  {spread(column)}")
    ratios = [bare / first for bare, first, _ in rows]
    print(f"bare / first  {spread(ratios, unit='')}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--image-size", type=int, default=32)
    return parser.parse_args()


def _run(folder: Path, paths: list[str], side: int) -> tuple[float, float, float]:
    bare = _bare_seconds(paths, side)
    with tempfile.TemporaryDirectory() as cache:
        return bare, _start_seconds(folder, side, cache), _start_seconds(folder, side, cache)


def _bare_seconds(paths: list[str], side: int) -> float:
    with multiprocessing.get_context("spawn").Pool(_cores()) as pool:
        pool.starmap(_decode, [(path, side) for path in paths[:64]])
        began = time.perf_counter()
        for _ in pool.imap_unordered(_decode_all, [(paths[k : k + 64], side) for k in range(0, len(paths), 64)]):
            pass
        return time.perf_counter() - began


def _decode_all(job: tuple[list[str], int]) -> None:
    for path in job[0]:
        _decode(path, job[1])


def _decode(path: str, side: int) -> None:
    with Image.open(path) as image:
        np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR))


def _start_seconds(folder: Path, side: int, cache: str) -> float:
    command = [sys.executable, "-c", START, str(folder), str(side), cache]
    seconds, *_ = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(seconds)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    main()
