"""Builds `CNN`: blocks of convolutions, each followed by downsampling."""

from typing import Any

from keras import layers

from spaces.backbones import CNN
from spaces.errors import ModelError
from studies.models.outputs import add_head

DOWNSAMPLINGS = {"max": layers.MaxPooling2D, "average": layers.AveragePooling2D}


def convolutional_outputs(record: CNN, images: Any, dropout: float, units: int) -> Any:
    """Return the logits of a `CNN` for images (n, height, width, channels) from 0 to 255.

    Feature maps that are only one pixel high or wide are not downsampled.

    Raises:
        ModelError: The convolutions no longer fit into the feature map.
    """
    features = layers.Rescaling(1 / 255, name="rescaling")(images)
    for block in range(record.blocks):
        features = _block(record, features, block)
    return add_head(features, record.pooling, record.dense_units, record.activation, dropout, units)


def _block(record: CNN, features: Any, block: int) -> Any:
    name = f"block{block + 1}"
    for index in range(record.convolutions):
        _check_fits(record, features, block)
        features = _convolution(record, features, block, f"{name}_convolution{index + 1}")
    if min(features.shape[1:3]) > 1:
        features = DOWNSAMPLINGS[record.downsample](2, name=f"{name}_downsample")(features)
    if record.block_dropout:
        features = layers.Dropout(record.block_dropout, name=f"{name}_dropout")(features)
    return features


def _convolution(record: CNN, features: Any, block: int, name: str) -> Any:
    filters = round(record.filters * record.growth**block)
    convolution = layers.Conv2D(
        filters, record.kernel_size, padding=record.padding, use_bias=not record.batch_norm, name=name
    )
    features = convolution(features)
    if record.batch_norm:
        # Keras' default of 0.99 needs hundreds of steps to forget its initial statistics; an epoch of a small data
        # set has tens.
        features = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(features)
    return layers.Activation(record.activation, name=f"{name}_{record.activation}")(features)


def _check_fits(record: CNN, features: Any, block: int) -> None:
    height, width = features.shape[1:3]
    if record.padding == "valid" and min(height, width) < record.kernel_size:
        raise ModelError(
            f"backbone: a kernel of {record.kernel_size} pixels without padding does not fit into the {height}x{width} "
            f"feature map of block {block + 1}\nhint: use padding='same', fewer blocks or larger images"
        )
