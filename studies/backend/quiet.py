"""Warnings and prints of Keras and TensorFlow that say nothing to whoever runs a search."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import keras

_WARNINGS: tuple[tuple[str, type[Warning]], ...] = (
    # Keras 3.15's own variables under NumPy 2, whenever it turns one into an array.
    ("__array__ implementation doesn't accept a copy keyword", DeprecationWarning),
    # MobileNet takes the weights of another image size, which is what we want.
    ("`input_shape` is undefined or non-square", UserWarning),
    # Told more exactly by looking at the weights themselves.
    ("Skipping nested container", UserWarning),
)


@contextmanager
def quiet_keras() -> Iterator[None]:
    """Silence Keras' progress lines and the warnings that are known to be harmless."""
    talks = keras.config.is_interactive_logging_enabled()
    keras.config.disable_interactive_logging()
    try:
        with warnings.catch_warnings():
            for message, category in _WARNINGS:
                warnings.filterwarnings("ignore", message=message, category=category)
            yield
    finally:
        if talks:
            keras.config.enable_interactive_logging()
