"""Loads the weights of a `Pretrained` network: ImageNet's or those of a file."""

from pathlib import Path

import keras
import numpy as np

from spaces.backbones import Pretrained
from spaces.errors import ModelError
from studies.backend.quiet import quiet_keras
from studies.models.known_weights import describe_network, network_inside, network_of
from studies.models.layers import all_layers
from studies.models.weights_content import WeightsContent, read_content
from studies.models.weights_file import weights_path
from studies.models.weights_find import imagenet_file
from studies.models.weights_match import first_difference, load_current, load_legacy

# Standard deviations of ImageNet's channels, which Keras' EfficientNet files contain in place of the variances
# (https://github.com/tensorflow/tensorflow/issues/49930).
_IMAGENET_DEVIATIONS = np.array([0.229, 0.224, 0.225])


def load_weights(network: keras.Model, record: Pretrained, folder: Path | None) -> None:
    """Load the record's weights into its network.

    Args:
        record: The record; weights=None leaves the network unchanged.
        folder: Folder to which a path is relative; None for the working directory.

    Raises:
        ModelError: The file is missing or does not fit, or the download failed.
    """
    if record.weights is None:
        return
    with quiet_keras():
        if record.weights == "imagenet":
            path = imagenet_file(record, tuple(network.input_shape[1:]), lambda: network, lambda _: None)
        else:
            path = weights_path(record, folder or Path())
        check_fit(network, record, path)
        load = load_legacy if read_content(path).is_legacy else load_current
        try:
            load(network, path)
        except ModelError as error:
            raise ModelError(f"{_mismatch(record, path)}: {error}") from error
        _repair_normalization(network)


def check_fit(network: keras.Model, record: Pretrained, path: Path) -> None:
    """Check that a weights file fits a network.

    Args:
        network: The record's network without its top.
        path: The file, with or without a top.

    Raises:
        ModelError: The file does not fit; names the first layer that differs, and the file's own network.
    """
    content = read_content(path)
    difference = first_difference(network, content)
    if difference is None:
        return
    raise ModelError(f"{_mismatch(record, path)}: {difference}{_owner(record, content)}")


def refresh_normalization(model: keras.Model) -> None:
    """Update the copies that normalization layers keep of their weights, after `set_weights`."""
    for layer in all_layers(model):
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()


def _owner(record: Pretrained, content: WeightsContent) -> str:
    """Return the end of a message that names the file's own network; empty if it is not known."""
    if known := network_of(content):
        return "" if (known.name, known.alpha) == (record.name, record.alpha) else f"; the file belongs to {known}"
    if inside := network_inside(content):
        return (
            f"; the file belongs to a model with {inside} as one of its layers\n"
            'hint: save this layer alone with model.get_layer(NAME).save_weights("FILE.weights.h5")'
        )
    return ""


def _mismatch(record: Pretrained, path: Path) -> str:
    return f"backbone: the weights in {path} do not fit {describe_network(record.name, record.alpha)}"


def _repair_normalization(network: keras.Model) -> None:
    """Replace the standard deviations in Keras' EfficientNet files by variances.

    Keras corrects them with an extra layer, but only when it downloads the file itself.
    """
    for layer in all_layers(network):
        if not isinstance(layer, keras.layers.Normalization):
            continue
        mean, variance, *count = layer.get_weights() or (None, np.empty(0))
        if variance.shape == (3,) and np.allclose(variance, _IMAGENET_DEVIATIONS, atol=1e-4):
            layer.set_weights([mean, variance**2, *count])
    refresh_normalization(network)
