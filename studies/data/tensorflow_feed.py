"""The feed on TensorFlow: `tf.data` over indices, so that a batch is one gather."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from studies.data import Split

IN_MEMORY_BYTES = 2**30
"""Splits up to this size are held as one tensor; larger ones are read from the memory-mapped cache."""


def shuffled_batches(split: Split, batch_size: int, seed: int) -> tuple[Any, Callable[[int], None]]:
    """A dataset that is shuffled anew whenever it is iterated, and what sets the epoch it is shuffled for."""
    epoch = tf.Variable(0, dtype=tf.int64, trainable=False)

    def order(_: Any) -> Any:
        indices = tf.random.experimental.stateless_shuffle(
            tf.range(len(split)), seed=[np.int64(seed), epoch.read_value()]
        )
        return tf.data.Dataset.from_tensor_slices(indices).batch(batch_size)

    indices = tf.data.Dataset.range(1).flat_map(order)
    steps = -(-len(split) // batch_size)
    batches = indices.apply(tf.data.experimental.assert_cardinality(steps)).map(_gather(split))
    return batches.prefetch(2), lambda value: epoch.assign(value) and None


def ordered_batches(split: Split, batch_size: int) -> Any:
    """A dataset of every image once, in order."""
    indices = tf.data.Dataset.range(len(split)).batch(batch_size)
    return indices.map(_gather(split)).prefetch(2)


def _gather(split: Split) -> Callable[[Any], tuple[Any, Any]]:
    labels = tf.constant(split.labels)
    if split.images.nbytes <= IN_MEMORY_BYTES:
        images = tf.constant(split.images)
        return lambda indices: (tf.gather(images, indices), tf.gather(labels, indices))

    def read(indices: Any) -> tuple[Any, Any]:
        batch = tf.numpy_function(lambda chosen: split.images[np.sort(chosen)], [indices], tf.uint8)
        return tf.ensure_shape(batch, (None, *split.images.shape[1:])), tf.gather(labels, tf.sort(indices))

    return read
