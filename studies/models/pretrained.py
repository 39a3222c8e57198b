"""`Pretrained`: a network of `keras.applications` with its own preprocessing in front of it."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
from keras import layers

from spaces.backbones import Pretrained
from spaces.errors import ModelError
from studies.models.outputs import add_head
from studies.models.weights import load_weights


def pretrained_outputs(
    record: Pretrained, images: Any, dropout: float, units: int, *, load: bool, folder: Path | None
) -> Any:
    """The logits of a `Pretrained` network over images (n, height, width, channels) from 0 to 255.

    Args:
        record: The network.
        images: Grey or colour images; grey ones become three equal channels.
        dropout: Share of values dropped before the last layer.
        units: Number of logits.
        load: Load the record's weights; False leaves them random.
        folder: Where the relative path of a file of weights starts.

    Raises:
        ModelError: The images are too small or have other channels, or the weights are absent or do not fit.
    """
    colour = _three_channels(record, images)
    network = make_network(record, tuple(colour.shape[1:]))
    if load:
        load_weights(network, record, folder)
    freeze(network, record.trainable_layers)
    features = network(preprocessing(record.name)(colour))
    return add_head(features, record.pooling, record.dense_units, "relu", dropout, units)


def make_network(record: Pretrained, input_shape: tuple[int, ...]) -> keras.Model:
    """The record's network without its top and with random weights.

    Raises:
        ModelError: The images are too small, or the network has no such width multiplier.
    """
    options = {} if record.alpha is None else {"alpha": record.alpha}
    application = getattr(keras.applications, record.name)
    if options and "alpha" not in inspect.signature(application).parameters:
        raise ModelError(f"backbone: {record.name} has no alpha (the MobileNet networks have): leave it out")
    try:
        return application(weights=None, include_top=False, input_shape=input_shape, **options)
    except ValueError as error:
        raise ModelError(_size_error(record, input_shape, str(error))) from error


def preprocessing(name: str) -> Any:
    """The `preprocess_input` function of the network's family."""
    return inspect.getmodule(getattr(keras.applications, name)).preprocess_input  # type: ignore[union-attr]


def _three_channels(record: Pretrained, images: Any) -> Any:
    channels = images.shape[-1]
    if channels == 1:
        return layers.Concatenate(name="grey_to_colour")([images, images, images])
    if channels != 3:
        raise ModelError(f"backbone: {record.name} reads images of 1 or 3 channels, got {channels}")
    return images


def _size_error(record: Pretrained, input_shape: tuple[int, ...], reason: str) -> str:
    height, width = input_shape[:2]
    if smallest := re.search(r"at least (\d+)\s*x", reason):
        side = smallest.group(1)
        return (
            f"backbone: {record.name} needs images of at least {side}x{side} pixels, got {height}x{width}: "
            f"give the data an image_size of {side} or more"
        )
    return f"backbone: {record!r} cannot be built for {height}x{width} pixels: {reason.splitlines()[0]}"


def fine_tune(model: keras.Model, last: int) -> None:
    """Train so many of the last layers of a built model's network as well; the model must be compiled anew.

    Args:
        model: A model of `build_model` for a `Pretrained` record.
        last: How many; layers that are trained already stay so.

    Raises:
        ModelError: The model holds no network.
    """
    network = next((layer for layer in model.layers if isinstance(layer, keras.Model)), None)
    if network is None:
        raise ModelError("fine_tune: only a model with a Pretrained(...) backbone can be fine-tuned: remove fine_tune")
    first = next((index for index, layer in enumerate(network.layers) if layer.trainable), len(network.layers))
    freeze(network, max(last, len(network.layers) - first))


def freeze(network: keras.Model, trainable_layers: int) -> None:
    """Train only the last layers, counted as in `network.layers`, and let none act as in training.

    Calling the network with `training=False` does not do that: inside another model Keras 3 puts that model's own
    argument in its place.
    """
    for index, layer in enumerate(network.layers, start=trainable_layers - len(network.layers)):
        layer.trainable = index >= 0
    for layer in _all_layers(network):
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False
        if isinstance(layer, layers.Dropout):
            layer.rate = 0.0


def _all_layers(network: keras.Model) -> Iterator[Any]:
    for layer in network.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _all_layers(layer)
