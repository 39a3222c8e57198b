"""Tells by a numerical test whether a network rescales its own input, so that pixels are never rescaled twice."""

from typing import Any

import keras
import numpy as np
from keras import layers

from studies.models.user_code import apply_user_model

_SMALL_SLOPE = 1 / 16
"""Pixels from 0 to 255 that reach the first weights in a range of at most 16 have been rescaled."""

_RAW_ZERO = 2.0
"""A network that subtracts a larger mean from its input, in units of the input, expects pixels from 0 to 255."""

_MAX_PROBES = 16


def is_rescaled(name: str, network: keras.Model, rescale: bool | None, image_shape: tuple[int, ...]) -> bool:
    """Whether images are divided by 255 before they reach a network: as its record says, else if it expects that.

    Args:
        name: What the network is called in messages.
        network: The network, built.
        rescale: The record's field.
        image_shape: (height, width, channels) of an image.

    Raises:
        ModelError: The network does not take such images.
    """
    return not rescales_itself(name, network, image_shape) if rescale is None else rescale


def rescales_itself(name: str, network: keras.Model, image_shape: tuple[int, ...]) -> bool:
    """Whether a network expects pixels from 0 to 255, judged by what reaches the first layer that has weights.

    Whatever lies before that layer is run, so it may be any layer, operation or nested model.

    Raises:
        ModelError: The network does not take such images.
    """
    pixels = np.random.default_rng(0).uniform(0, 255, (1, *image_shape)).astype(np.float32)
    pixels.flat[0], pixels.flat[-1] = 0, 255
    weighted = [layer for layer in _leaf_layers(network) if _holds_weights(layer)]
    for _ in range(_MAX_PROBES):
        first, zero = _first_weighted_input(name, network, np.zeros_like(pixels), weighted)
        if first is None:
            return False
        unit, raw = (_first_weighted_input(name, network, each, weighted)[1] for each in (pixels / 255, pixels))
        slope = float(np.abs(unit - zero).max())
        if slope or np.abs(raw - zero).max():
            return slope <= _SMALL_SLOPE or float(np.abs(zero).max()) / slope > _RAW_ZERO
        # It does not depend on the image, as an embedding of positions.
        weighted.remove(first)
    return False


class _Reached(BaseException):
    """Ends a call of the network; Keras adds its own words to each `Exception`."""

    def __init__(self, layer: Any, values: Any) -> None:
        self.layer, self.values = layer, values


def _first_weighted_input(name: str, network: keras.Model, images: np.ndarray, weighted: list[Any]) -> tuple[Any, Any]:
    """The first of these layers that is called for these images, and the values that it is given."""
    try:
        for layer in weighted:
            layer.call = _interrupting(layer)
        apply_user_model(name, network, keras.ops.convert_to_tensor(images), training=False)
    except _Reached as reached:
        return reached.layer, reached.values
    finally:
        for layer in weighted:
            # The layer's class has the method itself.
            layer.__dict__.pop("call", None)
    return None, None


def _interrupting(layer: Any) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        first = keras.tree.flatten((args, kwargs))[0]
        raise _Reached(layer, keras.ops.convert_to_numpy(keras.ops.cast(first, "float32")))

    return call


def _leaf_layers(network: keras.Model) -> list[Any]:
    """The layers at every depth that hold no others."""
    found = network._flatten_layers(include_self=False)
    return [layer for layer in found if not list(layer._flatten_layers(include_self=False))]


def _holds_weights(layer: Any) -> bool:
    """Whether a layer has weights to train; statistics that rescale are none."""
    only_statistics = layer.trainable and not layer.trainable_weights
    return bool(layer.weights) and not isinstance(layer, layers.Normalization) and not only_statistics
