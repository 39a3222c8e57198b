"""Tests numerically whether a network rescales its own input, so that pixels are never rescaled twice."""

from typing import Any

import keras
import numpy as np
from keras import layers

from studies.models.user_code import apply_user_model

_SMALL_SLOPE = 1 / 16
"""Pixels from 0 to 255 have been rescaled if they span at most 16 where they reach the first weights."""

_RAW_ZERO = 2.0
"""A network expects pixels from 0 to 255 if it subtracts a larger mean, in units of its input."""

_MAX_PROBES = 16


def is_rescaled(name: str, network: keras.Model, rescale: bool | None, image_shape: tuple[int, ...]) -> bool:
    """Return True if images must be divided by 255 before they reach a network.

    Args:
        rescale: The record's field; None decides by a test of the network.
        image_shape: (height, width, channels) of an image.

    Raises:
        ModelError: The network does not accept such images.
    """
    return not rescales_itself(name, network, image_shape) if rescale is None else rescale


def rescales_itself(name: str, network: keras.Model, image_shape: tuple[int, ...]) -> bool:
    """Return True if a network expects pixels from 0 to 255, judged by the input of the first layer with weights.

    Everything before that layer is run, so any layer, operation or nested model may do the rescaling.

    Raises:
        ModelError: The network does not accept such images.
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
        # The layer does not depend on the image, like an embedding of positions.
        weighted.remove(first)
    return False


class _Reached(BaseException):
    """Ends a call of the network; not an `Exception`, to which Keras would add its own text."""

    def __init__(self, layer: Any, values: Any) -> None:
        self.layer, self.values = layer, values


def _first_weighted_input(name: str, network: keras.Model, images: np.ndarray, weighted: list[Any]) -> tuple[Any, Any]:
    """Return the first of the layers that is called for these images, and its input."""
    try:
        for layer in weighted:
            layer.call = _interrupting(layer)
        apply_user_model(name, network, keras.ops.convert_to_tensor(images), training=False)
    except _Reached as reached:
        return reached.layer, reached.values
    finally:
        for layer in weighted:
            # Deleting the attribute reveals the method of the layer's class.
            layer.__dict__.pop("call", None)
    return None, None


def _interrupting(layer: Any) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        first = keras.tree.flatten((args, kwargs))[0]
        raise _Reached(layer, keras.ops.convert_to_numpy(keras.ops.cast(first, "float32")))

    return call


def _leaf_layers(network: keras.Model) -> list[Any]:
    """Return the layers at every depth that contain no other layers."""
    found = network._flatten_layers(include_self=False)
    return [layer for layer in found if not list(layer._flatten_layers(include_self=False))]


def _holds_weights(layer: Any) -> bool:
    """Return True if a layer has weights other than statistics that rescale its input."""
    only_statistics = layer.trainable and not layer.trainable_weights
    return bool(layer.weights) and not isinstance(layer, layers.Normalization) and not only_statistics
