"""The feed on TensorFlow: `tf.data` over positions, so that a batch is one gather."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from studies.data.dataset import Images, Split

IN_MEMORY_BYTES = 2**26
"""Splits up to this size are held as a tensor, which takes twice their size; the rows of larger ones are read from the
array as needed, so that processes share the memory-mapped cache."""

_AHEAD_BYTES, _MIN_AHEAD, _MAX_AHEAD = 2**25, 2, 8


def shuffled_batches(
    split: Split, batch_size: int, order: Callable[[int], np.ndarray], weights: np.ndarray | None = None
) -> tuple[Any, Callable[[int], None]]:
    """Return a dataset whose order is set before each epoch, and the function that sets it.

    `order` gives the positions of an epoch's images, counted from 0; their number never changes.
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
    return _prefetched(batches.map(_gather(split, weights)), split, batch_size), begin_epoch


def ordered_batches(split: Split, batch_size: int) -> Any:
    """Return a dataset of every image once, in order."""
    positions = tf.data.Dataset.range(len(split)).batch(batch_size)
    return _prefetched(positions.map(_gather(split, None)), split, batch_size)


def _prefetched(batches: Any, split: Split, batch_size: int) -> Any:
    options = tf.data.Options()
    # Nothing here is to be tuned, and an iterator whose tuning thread sleeps may wait half a minute for it to end.
    options.autotune.enabled = False
    return batches.prefetch(_ahead(split, batch_size)).with_options(options)


def _ahead(split: Split, batch_size: int) -> int:
    """Return the number of batches to prefetch: for small ones, enough while other processes use the processor."""
    batch_bytes = batch_size * max(1, split.images.nbytes // max(1, len(split)))
    return int(min(max(_MIN_AHEAD, _AHEAD_BYTES // batch_bytes), _MAX_AHEAD))


def _gather(split: Split, weights: np.ndarray | None) -> Callable[[Any], tuple[Any, ...]]:
    images = split.images
    columns = [tf.constant(column) for column in (split.labels, weights) if column is not None]
    if isinstance(images, np.ndarray) and images.nbytes <= IN_MEMORY_BYTES:
        held = tf.constant(images)
        return lambda positions: (tf.gather(held, positions), *_columns(columns, positions))

    def read(positions: Any) -> tuple[Any, ...]:
        batch = tf.numpy_function(lambda chosen: _rows(images, chosen), [positions], tf.as_dtype(images.dtype))
        return tf.ensure_shape(batch, (None, *images.shape[1:])), *_columns(columns, positions)

    return read


def _rows(images: Images, chosen: np.ndarray) -> np.ndarray:
    """Return images, read in the order of their file."""
    order = np.argsort(chosen)
    batch = np.empty((len(chosen), *images.shape[1:]), images.dtype)
    batch[order] = images[chosen[order]]
    return batch


def _columns(columns: list[Any], positions: Any) -> list[Any]:
    return [tf.gather(column, positions) for column in columns]
