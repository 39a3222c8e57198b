"""Builds `Branches`: parallel convolutions over one input, with concatenated feature maps."""

from typing import Any

from keras import layers

from spaces.backbones import Branch, Branches
from studies.models.cnn import DOWNSAMPLINGS
from studies.models.outputs import add_head


def branches_outputs(record: Branches, images: Any, dropout: float, units: int) -> Any:
    """Return the logits of a `Branches` network for images (n, height, width, channels) from 0 to 255.

    Feature maps that are only one pixel high or wide are not downsampled.
    """
    rescaled = layers.Rescaling(1 / 255, name="rescaling")(images)
    maps = [_branch(branch, rescaled, f"branch{number}") for number, branch in enumerate(record.branches, start=1)]
    features = layers.Concatenate(name="branches")(maps)
    return add_head(features, record.pooling, record.dense_units, "relu", dropout, units)


def _branch(branch: Branch, images: Any, name: str) -> Any:
    convolution = layers.Conv2D(branch.filters, branch.kernel_size, padding="same", name=f"{name}_convolution")
    features = layers.Activation(branch.activation, name=f"{name}_{branch.activation}")(convolution(images))
    if min(features.shape[1:3]) > 1:
        features = DOWNSAMPLINGS[branch.downsample](2, name=f"{name}_downsample")(features)
    return features
