"""Silence output of Keras and TensorFlow that does not help the user."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import keras

_WARNINGS: tuple[tuple[str, type[Warning]], ...] = (
    # Keras 3.15 raises it under NumPy 2 whenever it converts one of its variables to an array.
    ("__array__ implementation doesn't accept a copy keyword", DeprecationWarning),
    # MobileNet loads the weights of another image size, which is intended.
    ("`input_shape` is undefined or non-square", UserWarning),
    # Inspecting the weights themselves gives a more precise message.
    ("Skipping nested container", UserWarning),
)


@contextmanager
def quiet_keras() -> Iterator[None]:
    """Silence Keras' progress lines and its known harmless warnings."""
    was_interactive = keras.config.is_interactive_logging_enabled()
    keras.config.disable_interactive_logging()
    try:
        with warnings.catch_warnings():
            for message, category in _WARNINGS:
                warnings.filterwarnings("ignore", message=message, category=category)
            yield
    finally:
        if was_interactive:
            keras.config.enable_interactive_logging()
