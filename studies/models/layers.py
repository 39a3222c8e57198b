"""Iterates over the layers of a model and of the models nested in it."""

from collections.abc import Iterator
from typing import Any

import keras


def all_layers(model: keras.Model) -> Iterator[Any]:
    """Yield every layer; a nested model comes before its own layers."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from all_layers(layer)
