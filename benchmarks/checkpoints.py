"""Measure the cost of checkpoints: seconds per checkpoint, and their share of the training time.

    python benchmarks/checkpoints.py [--only digits] [--runs 5] [--epochs 6] [--size 96] [--images 512] [--place FOLDER]

The script trains the default network of digits, and all layers of a MobileNetV2 with Adam on images of noise. The share
is the time inside the callback, including the copies kept for a sudden stop, divided by the time of the whole training.
The first epoch of each run includes tracing, as in any trial.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from evidence import machine, spread

from spaces import Constant, Digits, Pretrained, Space
from spaces.space import Recipe, baseline, resolve
from studies.checkpoints.study_checkpoints import StudyCheckpoints, TrialCheckpoints
from studies.data.dataset import Split
from studies.data.sources import load
from studies.features.eligibility import IMAGES
from studies.features.training_inputs import TrainingInputs
from studies.models.build import build_model
from studies.training.callbacks.checkpoint import CheckpointCallback
from studies.training.fit import train
from studies.training.options import TrainingOptions


@dataclass
class Costs:
    """Measurements of one training, in seconds and bytes."""

    in_callback: float = 0.0
    saves: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    whole: float = 0.0


def main() -> None:
    """Run the benchmark and print its figures."""
    arguments = _arguments()
    print(machine("keras", "tensorflow"))
    for name, recipe, images, validation in (_digits(), _mobilenet(arguments)):
        if arguments.only in (None, name):
            _report(name, [_run(recipe, images, validation, arguments) for _ in range(arguments.runs)])


def _digits() -> tuple[str, Recipe, Split, Split]:
    space = Space(data=Digits(), epochs=15)
    data = load(space.data, Path.cwd())
    return "digits", resolve(space, baseline(space)), data.train, data.validation


def _mobilenet(arguments: argparse.Namespace) -> tuple[str, Recipe, Split, Split]:
    recipe = Space(
        data=Digits(),
        backbone=Pretrained("MobileNetV2", weights=None, trainable_layers=1000),
        augment=None,
        dropout=0.0,
        learning_rate=1e-3,
        schedule=Constant(),
        batch_size=32,
        epochs=arguments.epochs,
        patience=None,
    )
    return "mobilenet", recipe, _noise(arguments.images, arguments.size), _noise(64, arguments.size)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["digits", "mobilenet"])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--place", type=Path, help="Folder on the disk to measure; a temporary one by default.")
    return parser.parse_args()


def _noise(images: int, size: int) -> Split:
    rng = np.random.default_rng(0)
    return Split(rng.integers(0, 256, (images, size, size, 3), dtype=np.uint8), np.arange(images, dtype=np.int64) % 10)


def _run(recipe: Recipe, images: Split, validation: Split, arguments: argparse.Namespace) -> Costs:
    keras.utils.clear_session()
    with tempfile.TemporaryDirectory(dir=arguments.place) as folder, _measured(Path(folder)) as costs:
        checkpoints = StudyCheckpoints(folder).for_trial(0)
        started = time.perf_counter()
        inputs = TrainingInputs(images, validation, build_model, IMAGES, classes=10, folder=Path.cwd())
        train(recipe, inputs, TrainingOptions(seed=0, checkpoints=checkpoints))
        costs.whole = time.perf_counter() - started
    return costs


@contextmanager
def _measured(folder: Path) -> Iterator[Costs]:
    """Measure each call of the callback and each checkpoint in it."""
    costs, on_epoch_end, save = Costs(), CheckpointCallback.on_epoch_end, TrialCheckpoints.save

    def timed_epoch_end(*arguments: Any, **named: Any) -> None:
        began = time.perf_counter()
        on_epoch_end(*arguments, **named)
        costs.in_callback += time.perf_counter() - began

    def timed_save(store: TrialCheckpoints, snapshot: Any, *, copying_seconds: float = 0.0) -> None:
        began = time.perf_counter()
        save(store, snapshot, copying_seconds=copying_seconds)
        costs.saves.append(copying_seconds + time.perf_counter() - began)
        costs.sizes.append(max(file.stat().st_size for file in folder.iterdir()))

    CheckpointCallback.on_epoch_end, TrialCheckpoints.save = timed_epoch_end, timed_save
    try:
        yield costs
    finally:
        CheckpointCallback.on_epoch_end, TrialCheckpoints.save = on_epoch_end, save


def _report(name: str, runs: list[Costs]) -> None:
    saves = [seconds for run in runs for seconds in run.saves]
    print(f"{name}: {len(saves) / len(runs):.3g} checkpoints in a training")
    print(f"  {'size':12} {spread([size / 1e6 for run in runs for size in run.sizes], 'MB')}")
    print(f"  {'checkpoint':12} {spread([1000 * seconds for seconds in saves], 'ms')}")
    print(f"  {'training':12} {spread([run.whole for run in runs])}")
    print(f"  {'share':12} {spread([100 * run.in_callback / run.whole for run in runs], '%')}")


if __name__ == "__main__":
    main()
