"""Measure how fast batches reach a small network, compared with batches prepared in memory.

    python benchmarks/feed.py FOLDER [--runs 20] [--images 25000] [--batch-size 128]

Both sides train the same model, the beginners' network of the `cifar10` example, after one warm-up epoch each. A run is
one epoch from the feed, including its new shuffle, and one from batches prepared beforehand. Every other run takes the
feed last. The ratio of each run compares neighbours in time; the ratio of CPU seconds, summed over all threads, allows
a comparison on a shared machine.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import keras
import tensorflow as tf
from evidence import machine, spread

from spaces import CNN, Constant, Digits, ImageFolder, Space
from studies.data.dataset import Split
from studies.data.sources import load
from studies.models.build import build_model
from studies.training.compile import compile_model
from studies.training.feed import Feed, steps_per_execution, training_feed

RECIPE = Space(
    data=Digits(),
    backbone=CNN(filters=32, blocks=1, padding="valid", batch_norm=False, dense_units=64),
    augment=None,
    dropout=0.0,
    learning_rate=1e-3,
    schedule=Constant(),
    epochs=1,
)

Epoch = Callable[[int], "Speed"]


class Speed(NamedTuple):
    """What one epoch reached."""

    steps_per_second: float
    steps_per_processor_second: float


def main() -> None:
    """Run the benchmark and print its figures."""
    arguments = _arguments()
    data = load(ImageFolder(arguments.folder), Path.cwd())
    split = Split(data.train.images[: arguments.images], data.train.labels[: arguments.images])
    recipe = replace(RECIPE, batch_size=arguments.batch_size)
    print(machine("keras", "tensorflow"))
    print(f"{len(split)} images {data.image_shape}, batches of {recipe.batch_size}, {arguments.runs} runs")
    fed, ready = _sides(recipe, split, len(data.classes))
    rows = [_run(fed, ready, number) for number in range(arguments.runs + 1)][1:]
    for name, column in zip(("feed", "ready batches"), zip(*rows, strict=True), strict=True):
        print(f"{name:14} {spread([speed.steps_per_second for speed in column], 'steps a second')}")
    print(f"{'feed / ready':14} {_quartiles([one[0] / two[0] for one, two in rows])}")
    print(f"{'':14} {_quartiles([one[1] / two[1] for one, two in rows])} of processor seconds")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--images", type=int, default=25_000)
    parser.add_argument("--batch-size", type=int, default=128)
    return parser.parse_args()


def _run(fed: Epoch, ready: Epoch, number: int) -> tuple[Speed, Speed]:
    if number % 2:
        return fed(number), ready(number)
    last = ready(number)
    return fed(number), last


def _sides(recipe: Space, split: Split, classes: int) -> tuple[Epoch, Epoch]:
    shape, feed = split.images.shape[1:], training_feed(split, recipe.batch_size, 0)
    model = build_model(recipe, shape, classes)
    compile_model(model, recipe, feed.steps, steps_per_execution(shape, recipe.batch_size, feed.steps))
    return _epochs(model, feed), _epochs(model, _ready(recipe, split))


def _ready(recipe: Space, split: Split) -> Feed:
    size = recipe.batch_size
    starts = range(0, len(split) - size + 1, size)
    images = tf.constant([split.images[start : start + size] for start in starts])
    labels = tf.constant([split.labels[start : start + size] for start in starts])
    batches = tf.data.Dataset.from_tensor_slices((images, labels))
    return Feed({"x": batches, "shuffle": False}, lambda epoch: None, len(starts))


def _epochs(model: keras.Model, feed: Feed) -> Epoch:
    def epoch(number: int) -> Speed:
        began, used = time.perf_counter(), time.process_time()
        feed.begin_epoch(number)
        model.fit(**feed.inputs, epochs=1, verbose=0)
        return Speed(feed.steps / (time.perf_counter() - began), feed.steps / (time.process_time() - used))

    return epoch


def _quartiles(values: list[Any]) -> str:
    low, median, high = (f"{value:.3f}" for value in statistics.quantiles(values, n=4, method="inclusive"))
    return f"median {median}, quartiles {low} and {high}, n={len(values)}"


if __name__ == "__main__":
    main()
