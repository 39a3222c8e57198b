"""Measure the memory that a folder of images takes while decoding, when opened again, and while training.

    python benchmarks/memory.py FOLDER [--image-size 32] [--runs 3]

Each line is the peak of a fresh process and its children, sampled up to 20 times a second from /proc/PID/smaps_rollup
(Linux only). `resident` is the proportional set size: shared pages count once, and mapped pages of the cache file count
although the system can reclaim them at any time. `anonymous` is the part that cannot be reclaimed. Both include the
interpreter and all imports, which the lines `imports` show. `small split` is the memory that TensorFlow needs to train
the same network on 1,280 images from the same cache. The difference is what the data adds.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from evidence import machine

IMPORTS = "import time, studies.data.image_folder, PIL.JpegImagePlugin; time.sleep(0.2)"
TRAINING_IMPORTS = (
    IMPORTS
    + """
import keras, tensorflow
from studies.training.compile import compile_model
from studies.training.feed import evaluation_data, steps_per_execution, training_feed
from studies.models.build import build_model
"""
)
OPEN = """
import sys
from pathlib import Path
from spaces.data import ImageFolder
from studies.data.sources import load
data = load(ImageFolder(sys.argv[1], image_size=int(sys.argv[2]), max_skipped=1.0), Path.cwd(), cache=Path(sys.argv[3]))
import time; time.sleep(0.2)
"""
TRAIN = (
    OPEN
    + TRAINING_IMPORTS
    + """
from spaces import CNN, Constant, Digits, Space
from studies.data.dataset import Split
backbone = CNN(filters=32, blocks=1, padding="valid", batch_norm=False, dense_units=64)
recipe = Space(data=Digits(), backbone=backbone, augment=None, dropout=0.0, learning_rate=1e-3, schedule=Constant(),
               epochs=1, batch_size=128)
train, validation = data.train, data.validation
if PICKED:
    train, validation = (Split(s.images[:PICKED], s.labels[:PICKED]) for s in (train, validation))
model = build_model(recipe, data.image_shape, len(data.classes))
feed = training_feed(train, 128, 0)
compile_model(model, recipe, feed.steps, steps_per_execution(data.image_shape, 128, feed.steps))
model.fit(**feed.inputs, epochs=2, validation_data=evaluation_data(validation, 128), verbose=0)
"""
)
PHASES = {
    "imports": IMPORTS,
    "first start": OPEN,
    "second start": OPEN,
    "imports, to train": TRAINING_IMPORTS,
    "training, small split": TRAIN.replace("PICKED", "1280"),
    "training": TRAIN.replace("PICKED", "0"),
}


class Peak(NamedTuple):
    """The most that was seen, in MB."""

    resident: float
    anonymous: float


def main() -> None:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    rows = [_run(str(arguments.folder), str(arguments.image_size)) for _ in range(arguments.runs)]
    print(machine("tensorflow", "keras", "pillow", "numpy"))
    print(f"{arguments.folder.name}: {rows[0][1]:.0f} MB of decoded images; MB at the peak, median of {len(rows)}")
    for name in PHASES:
        peaks = [peaks[name] for peaks, _ in rows]
        print(f"{name:22} {_median(peaks, 'resident')}   {_median(peaks, 'anonymous')}")


def _median(peaks: list[Peak], kind: str) -> str:
    values = [getattr(peak, kind) for peak in peaks]
    return f"{kind} {statistics.median(values):5.0f} ({min(values):.0f} to {max(values):.0f})"


def _run(folder: str, side: str) -> tuple[dict[str, Peak], float]:
    with tempfile.TemporaryDirectory() as cache:
        peaks = {name: _peak([sys.executable, "-c", code, folder, side, cache]) for name, code in PHASES.items()}
        [images] = Path(cache).glob("decoded/entries/*/images.npy")
        return peaks, images.stat().st_size / 1e6


def _peak(command: list[str]) -> Peak:
    """The peak of a process and its children; each kind by itself."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    seen = [Peak(0, 0)]
    while process.poll() is None:
        family = [_sizes(number) for number in _family(process.pid)]
        seen.append(Peak(*(sum(column) for column in zip(*family, strict=True))) if family else Peak(0, 0))
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"{command[2]} ended with {process.returncode}.")
    return Peak(max(peak.resident for peak in seen), max(peak.anonymous for peak in seen))


def _family(process: int) -> Iterator[int]:
    yield process
    for thread in Path(f"/proc/{process}/task").glob("*"):
        try:
            children = (thread / "children").read_text().split()
        except OSError:
            continue
        for child in children:
            yield from _family(int(child))


def _sizes(process: int) -> Peak:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return Peak(0, 0)
    kilobytes = {name: float(number) for name, number, *_ in (line.split() for line in lines)}
    return Peak(kilobytes.get("Pss:", 0) * 1024 / 1e6, kilobytes.get("Pss_Anon:", 0) * 1024 / 1e6)


if __name__ == "__main__":
    main()
