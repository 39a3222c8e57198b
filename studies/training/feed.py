"""Batches for training and evaluation, in an order that depends on the seed and the epoch alone."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from studies.data.dataset import Split
from studies.training.balance import class_weights, epoch_order

_PIXELS_PER_EXECUTION = 2**20
_MAX_STEPS_PER_EXECUTION = 32


@dataclass(frozen=True)
class Feed:
    """Data for `fit` or `evaluate`.

    Args:
        inputs: Keyword arguments with the data.
        begin_epoch: Shuffles the images; call it with the epoch, counted from 0, before each epoch.
        steps: Number of batches in one epoch.
    """

    inputs: dict[str, Any]
    begin_epoch: Callable[[int], None]
    steps: int


def training_feed(split: Split, batch_size: int, seed: int, balance: str | None = None) -> Feed:
    """Return batches in an order that depends on the seed and the epoch alone, on every backend.

    Args:
        split: The images to train on.
        batch_size: Number of images in a batch; the last one of an epoch may be smaller.
        seed: Seed of the order.
        balance: `class_weights` adds each image's weight to its batch, `sampling` draws every class equally often,
            None gives every image once.
    """
    steps = -(-len(split) // batch_size)
    if keras.backend.backend() == "tensorflow":
        from studies.training.tensorflow_feed import shuffled_batches

        dataset, begin_epoch = shuffled_batches(
            split, batch_size, _order(split, seed, balance), _weights(split, balance)
        )
        return Feed({"x": dataset, "shuffle": False}, begin_epoch, steps)
    batches = ShuffledBatches(split, batch_size, seed, balance)
    return Feed({"x": batches, "shuffle": False}, batches.begin_epoch, steps)


def evaluation_data(split: Split, batch_size: int) -> Any:
    """Return every image once, in order, for `validation_data`."""
    if keras.backend.backend() == "tensorflow":
        from studies.training.tensorflow_feed import ordered_batches

        return ordered_batches(split, batch_size)
    return ShuffledBatches(split, batch_size, seed=None)


def steps_per_execution(image_shape: tuple[int, ...], batch_size: int, steps: int) -> int:
    """Return the number of steps that run without returning to Python: many to hide its cost, few to stop soon.

    An epoch has `steps`. The shape is (height, width, channels) of an image, or (units,) of its features.
    """
    pixels = math.prod(image_shape[:2]) if len(image_shape) == 3 else 1
    steps_per_call = max(1, min(_PIXELS_PER_EXECUTION // (pixels * batch_size), _MAX_STEPS_PER_EXECUTION))
    # TensorFlow ends by itself where an epoch does, so that batches of another size run the same compiled steps.
    return steps_per_call if keras.backend.backend() == "tensorflow" else min(steps_per_call, steps)


class ShuffledBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches straight from the arrays, for backends other than TensorFlow.

    Args:
        split: The images.
        batch_size: Number of images in a batch.
        seed: Seed of the order; None keeps the order of the split.
        balance: As in `training_feed`.
    """

    def __init__(self, split: Split, batch_size: int, seed: int | None, balance: str | None = None) -> None:
        super().__init__()
        self._split, self._batch_size, self._weights = split, batch_size, _weights(split, balance)
        self._order = _order(split, seed, balance)
        self.begin_epoch(0)

    def begin_epoch(self, epoch: int) -> None:
        """Shuffle the images for one epoch."""
        self._positions = self._order(epoch)

    def __len__(self) -> int:
        return -(-len(self._split) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        chosen = self._positions[index * self._batch_size : (index + 1) * self._batch_size]
        # Sorted reads keep a memory-mapped file sequential; the order inside a batch does not matter.
        chosen = np.sort(chosen)
        batch = self._split.images[chosen], self._split.labels[chosen]
        return batch if self._weights is None else (*batch, self._weights[chosen])


def _order(split: Split, seed: int | None, balance: str | None) -> Callable[[int], np.ndarray]:
    """Return a function from the epoch to the positions of its images."""
    if seed is None:
        return lambda epoch: np.arange(len(split))
    return lambda epoch: epoch_order(split.labels, seed, epoch, balanced=balance == "sampling")


def _weights(split: Split, balance: str | None) -> np.ndarray | None:
    return class_weights(split.labels) if balance == "class_weights" else None
