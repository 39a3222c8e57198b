"""Builds `Pretrained`: a network of `keras.applications` with its own preprocessing."""

import inspect
import re
from pathlib import Path
from typing import Any

import keras
from keras import layers

from spaces.backbones import Pretrained
from spaces.errors import ModelError
from spaces.heads import MIRROR, Linear
from studies.models.layers import all_layers
from studies.models.outputs import POOLINGS, add_dense_head
from studies.models.weights import load_weights


def pretrained_outputs(
    record: Pretrained, images: Any, dropout: float, units: int, *, load: bool, folder: Path | None
) -> Any:
    """Return the logits of a `Pretrained` network for images (n, height, width, channels) from 0 to 255.

    Args:
        images: Grey or colour images; grey images are repeated over three channels.
        dropout: Fraction of values dropped before the last layer.
        load: Whether to load the record's weights; False keeps random weights.
        folder: Folder to which the path of a weights file is relative.

    Raises:
        ModelError: The images are too small or have the wrong channels, or the weights are missing or do not fit.
    """
    colour = _three_channels(record, images)
    is_mirrored = isinstance(record.head, Linear) and record.head.views == MIRROR
    if is_mirrored:
        # One pass over twice as many images is half as large a graph as two passes.
        colour = keras.ops.concatenate([colour, keras.ops.flip(colour, axis=2)], axis=0)
    parts = record.parts
    names = ["pooling"] if len(parts) == 1 else [f"pooling_{number}" for number in range(1, len(parts) + 1)]
    vectors = [_vectors(part, colour, name, load, folder) for part, name in zip(parts, names, strict=True)]
    joined = vectors[0] if len(vectors) == 1 else layers.Concatenate(name="networks")(vectors)
    if is_mirrored:
        joined = keras.ops.mean(keras.ops.reshape(joined, (2, -1, joined.shape[-1])), axis=0)
    return add_dense_head(joined, record.dense_units, "relu", dropout, units)


def _vectors(record: Pretrained, images: Any, name: str, load: bool, folder: Path | None) -> Any:
    """Return the pooled outputs of one network (n, units)."""
    network = make_network(record, tuple(images.shape[1:]))
    if load:
        load_weights(network, record, folder)
    freeze(network, record.trainable_layers)
    return POOLINGS[record.pooling](name=name)(network(preprocessing(record.name)(images)))


def make_network(record: Pretrained, input_shape: tuple[int, ...]) -> keras.Model:
    """Return the record's network without its top and with random weights.

    Raises:
        ModelError: The images are too small, or the network has no such width multiplier.
    """
    options = {} if record.alpha is None else {"alpha": record.alpha}
    application = getattr(keras.applications, record.name)
    if options and "alpha" not in inspect.signature(application).parameters:
        raise ModelError(f"backbone: {record.name} has no alpha\nhint: only the MobileNet networks have one")
    try:
        return application(weights=None, include_top=False, input_shape=input_shape, **options)
    except ValueError as error:
        raise ModelError(_size_error(record, input_shape, str(error))) from error


def preprocessing(name: str) -> Any:
    """Return the `preprocess_input` function of the network's family."""
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
            f"backbone: {record.name} needs images of at least {side}x{side} pixels, got {height}x{width}\n"
            f"hint: set an image_size of {side} or more"
        )
    return f"backbone: {record!r} cannot be built for {height}x{width} pixels: {reason.splitlines()[0]}"


def fine_tune(model: keras.Model, last: int) -> None:
    """Unfreeze the last layers of a built model's network; the model must be compiled again.

    Args:
        model: A model of `build_model` for a `Pretrained` record.
        last: Number of layers to train; layers that are already trained stay trainable.

    Raises:
        ModelError: The model contains no network.
    """
    networks = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    if not networks:
        raise ModelError(
            "fine_tune: only a model with a Pretrained(...) backbone can be fine-tuned\nhint: remove fine_tune"
        )
    for network in networks:
        first = next((index for index, layer in enumerate(network.layers) if layer.trainable), len(network.layers))
        freeze(network, max(last, len(network.layers) - first))


def freeze(network: keras.Model, trainable_layers: int) -> None:
    """Make only the last layers trainable, counted as in `network.layers`, and run all layers in inference mode.

    Calling the network with `training=False` is not enough: inside another model, Keras 3 overrides it with that
    model's own argument.
    """
    for index, layer in enumerate(network.layers, start=trainable_layers - len(network.layers)):
        layer.trainable = index >= 0
    for layer in all_layers(network):
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False
        if isinstance(layer, layers.Dropout):
            layer.rate = 0.0
