"""Computes float32 products in full precision with TensorFlow, where a GPU would round them to ten bits."""

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf


@contextmanager
def full_precision() -> Iterator[None]:
    """Disable TensorFloat-32 and restore the previous setting afterwards."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)
