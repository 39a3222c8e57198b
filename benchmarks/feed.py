"""How fast batches reach a small network, beside batches that lie ready in memory.

    python benchmarks/feed.py FOLDER [--runs 5] [--images 10000] [--batch-size 128]

Each run trains the beginners' network of the `cifar10` example for one epoch from the feed, and one epoch from
batches made beforehand, with the same model, compiled once for each side. The first epoch of each side traces and is
not counted.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import tensorflow as tf
from evidence import machine, spread

from spaces import CNN, Constant, Digits, ImageFolder, Space
from studies.compiling import compile_model
from studies.data import Split, load
from studies.data.feed import steps_per_execution, training_feed
from studies.models import build_model

RECIPE = Space(
    data=Digits(),
    backbone=CNN(filters=32, blocks=1, padding="valid", batch_norm=False, dense_units=64),
    augment=None,
    dropout=0.0,
    learning_rate=1e-3,
    schedule=Constant(),
    epochs=1,
)


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    data = load(ImageFolder(arguments.folder), Path.cwd())
    split = Split(data.train.images[: arguments.images], data.train.labels[: arguments.images])
    recipe = replace(RECIPE, batch_size=arguments.batch_size)
    print(machine("keras", "tensorflow"))
    print(f"{len(split)} images {data.image_shape}, batches of {recipe.batch_size}, {arguments.runs} runs")
    fed, ready = _fed(recipe, split, len(data.classes)), _ready(recipe, split, len(data.classes))
    rows = [(fed(), ready()) for _ in range(arguments.runs + 1)][1:]
    for name, column in zip(("feed", "ready batches"), zip(*rows, strict=True), strict=True):
        print(f"{name:14} {spread(column, 'steps a second')}")
    print(f"{'feed / ready':14} {spread([one / two for one, two in rows], '')}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--batch-size", type=int, default=128)
    return parser.parse_args()


def _fed(recipe: Space, split: Split, classes: int) -> Callable[[], float]:
    feed = training_feed(split, recipe.batch_size, 0)
    return _epochs(recipe, split, classes, feed.steps, **feed.inputs)


def _ready(recipe: Space, split: Split, classes: int) -> Callable[[], float]:
    size = recipe.batch_size
    starts = range(0, len(split) - size + 1, size)
    images = tf.constant([split.images[start : start + size] for start in starts])
    labels = tf.constant([split.labels[start : start + size] for start in starts])
    return _epochs(
        recipe, split, classes, len(starts), x=tf.data.Dataset.from_tensor_slices((images, labels)), shuffle=False
    )


def _epochs(recipe: Space, split: Split, classes: int, steps: int, **inputs: Any) -> Callable[[], float]:
    shape = split.images.shape[1:]
    model = build_model(recipe, shape, classes)
    compile_model(model, recipe, steps, steps_per_execution(shape, recipe.batch_size, steps))

    def epoch() -> float:
        began = time.perf_counter()
        model.fit(**inputs, epochs=1, verbose=0)
        return steps / (time.perf_counter() - began)

    return epoch


if __name__ == "__main__":
    main()
