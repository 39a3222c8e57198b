"""Goes through the layers of a model, also those of the models inside it."""

from collections.abc import Iterator
from typing import Any

import keras


def all_layers(model: keras.Model) -> Iterator[Any]:
    """Every layer; a model inside the model comes before its own layers."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from all_layers(layer)
