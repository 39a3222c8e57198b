"""Measure how fast a folder of images is decoded into the cache, and how fast a second start reads it.

    python benchmarks/decoded_cache.py FOLDER [--runs 5] [--image-size 32]

Each run times a bare loop over all files on all cores, a first start with an empty cache, and a second start with the
full one. Every other run times the bare loop last. The files are in the page cache from the start.

The bare loop opens each file with Pillow and writes its pixels into an array shared by its processes. It converts and
resizes only images of another mode or size. Its time excludes starting the processes, which have imported everything,
and listing the files. The two starts are timed in fresh processes from the first import to the dataset. The first one
includes listing the files, starting processes, finding duplicates and writing to disk. CPU seconds, summed over all
processes, allow a comparison on a shared machine.
"""

import argparse
import functools
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import NamedTuple

import numpy as np
from evidence import machine, spread
from PIL import Image

BILINEAR = Image.Resampling.BILINEAR

START = """
import time
began = time.perf_counter()
import resource, sys
from pathlib import Path
from spaces.data import ImageFolder
from studies.data.sources import load
data = load(ImageFolder(sys.argv[1], image_size=int(sys.argv[2]), max_skipped=1.0), Path.cwd(), cache=Path(sys.argv[3]))
seconds = time.perf_counter() - began
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(seconds, sum(one.ru_utime + one.ru_stime for one in used))
"""


class Taken(NamedTuple):
    """What one pass over the files took: seconds of the clock, and of the processors."""

    seconds: float
    processor: float


def main() -> None:
    """Run the benchmark and print its figures."""
    arguments = _arguments()
    paths = sorted(
        str(path) for path in arguments.folder.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"}
    )
    print(machine("pillow", "numpy"))
    print(f"{arguments.folder.name}: {len(paths)} files to {arguments.image_size} pixels, {arguments.runs} runs")
    _bare(paths, arguments.image_size)
    rows = [_run(arguments.folder, paths, arguments.image_size, bool(k % 2)) for k in range(arguments.runs)]
    for name, column in zip(("bare loop", "first start", "second start"), zip(*rows, strict=True), strict=True):
        print(f"{name:13} {spread([one.seconds for one in column])}")
        print(f"{'':13} {spread([one.processor for one in column], 'processor s')}")
    print(f"{'bare / first':13} {spread([bare.seconds / first.seconds for bare, first, _ in rows], unit='')}")
    print(f"{'':13} {spread([bare.processor / first.processor for bare, first, _ in rows], 'of processor seconds')}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--image-size", type=int, default=32)
    return parser.parse_args()


def _run(folder: Path, paths: list[str], side: int, bare_last: bool) -> tuple[Taken, Taken, Taken]:
    bare = None if bare_last else _bare(paths, side)
    with tempfile.TemporaryDirectory() as cache:
        first, second = _start(folder, side, cache), _start(folder, side, cache)
    return bare or _bare(paths, side), first, second


def _bare(paths: list[str], side: int) -> Taken:
    shared = SharedMemory(create=True, size=len(paths) * side * side * 3)
    jobs = [(shared.name, side, start, paths[start : start + 64]) for start in range(0, len(paths), 64)]
    try:
        with multiprocessing.get_context("spawn").Pool(_cores()) as pool:
            pool.map(_decode, jobs[: 8 * _cores()], chunksize=1)
            began, here = time.perf_counter(), time.process_time()
            there = sum(pool.imap_unordered(_decode, jobs))
            return Taken(time.perf_counter() - began, there + time.process_time() - here)
    finally:
        shared.close()
        shared.unlink()


def _decode(job: tuple[str, int, int, list[str]]) -> float:
    name, side, start, paths = job
    began = time.process_time()
    images = np.ndarray((start + len(paths), side, side, 3), np.uint8, _shared(name).buf)
    for row, path in enumerate(paths, start):
        with Image.open(path) as image:
            colour = image if image.mode == "RGB" else image.convert("RGB")
            images[row] = colour if colour.size == (side, side) else colour.resize((side, side), BILINEAR)
    return time.process_time() - began


@functools.cache
def _shared(name: str) -> SharedMemory:
    return SharedMemory(name, track=False) if sys.version_info >= (3, 13) else SharedMemory(name)


def _start(folder: Path, side: int, cache: str) -> Taken:
    command = [sys.executable, "-c", START, str(folder), str(side), cache]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return Taken(*map(float, answer.split()))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    main()
