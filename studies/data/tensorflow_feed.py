"""The feed on TensorFlow: `tf.data` over positions, so that a batch is one gather."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from studies.data import Split

IN_MEMORY_BYTES = 2**30
"""Splits up to this size are held as one tensor; larger ones are read from the memory-mapped cache."""


def shuffled_batches(
    split: Split, batch_size: int, order: Callable[[int], np.ndarray], weights: np.ndarray | None = None
) -> tuple[Any, Callable[[int], None]]:
    """A dataset whose order is set anew before each epoch, and what sets it.

    Args:
        split: The images.
        batch_size: Images in one batch.
        order: Gives the positions of an epoch's images, counted from 0; their number never changes.
        weights: Each image's weight, or None.
    """
    # The dataset runs on the CPU, and a variable is read where it lies.
    with tf.device("CPU:0"):
        positions = tf.Variable(order(0), dtype=tf.int64, trainable=False)

    def current(_: Any) -> Any:
        return tf.data.Dataset.from_tensor_slices(positions.read_value()).batch(batch_size)

    def begin_epoch(epoch: int) -> None:
        positions.assign(order(epoch))

    steps = -(-len(split) // batch_size)
    batches = tf.data.Dataset.range(1).flat_map(current).apply(tf.data.experimental.assert_cardinality(steps))
    return batches.map(_gather(split, weights)).prefetch(2), begin_epoch


def ordered_batches(split: Split, batch_size: int) -> Any:
    """A dataset of every image once, in order."""
    positions = tf.data.Dataset.range(len(split)).batch(batch_size)
    return positions.map(_gather(split, None)).prefetch(2)


def _gather(split: Split, weights: np.ndarray | None) -> Callable[[Any], tuple[Any, ...]]:
    images = split.images
    columns = [tf.constant(column) for column in (split.labels, weights) if column is not None]
    if isinstance(images, np.ndarray) and images.nbytes <= IN_MEMORY_BYTES:
        held = tf.constant(images)
        return lambda positions: (tf.gather(held, positions), *_columns(columns, positions))

    def read(positions: Any) -> tuple[Any, ...]:
        # Sorted reads keep a memory-mapped file sequential; the order inside a batch does not matter.
        positions = tf.sort(positions)
        batch = tf.numpy_function(lambda chosen: images[chosen], [positions], tf.as_dtype(images.dtype))
        return tf.ensure_shape(batch, (None, *images.shape[1:])), *_columns(columns, positions)

    return read


def _columns(columns: list[Any], positions: Any) -> list[Any]:
    return [tf.gather(column, positions) for column in columns]
