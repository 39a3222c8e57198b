"""Loads the weights of a `Pretrained` network, from a file or ImageNet's."""

from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np

from spaces.backbones import Pretrained
from spaces.errors import ModelError
from studies.backend.quiet import quiet_keras
from studies.models.known_weights import network_inside, network_of
from studies.models.weights_content import WeightsContent, read_content
from studies.models.weights_file import weights_path
from studies.models.weights_find import imagenet_file
from studies.models.weights_match import first_difference, load_current, load_legacy

# Standard deviations of ImageNet's channels, which Keras' EfficientNet files hold in place of the variances
# (https://github.com/tensorflow/tensorflow/issues/49930).
_IMAGENET_DEVIATIONS = np.array([0.229, 0.224, 0.225])


def load_weights(network: keras.Model, record: Pretrained, folder: Path | None) -> None:
    """Load the record's weights into its network.

    Args:
        network: The network without its top.
        record: Says which weights; None leaves the network as it is.
        folder: Where a relative path starts; None for the working directory.

    Raises:
        ModelError: The file is absent or does not fit, or the download failed.
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
    """Make sure that a file of weights belongs to a network.

    Args:
        network: The record's network without its top.
        record: Its name and width.
        path: The file, under any name, with a top or without.

    Raises:
        ModelError: It does not: names the first layer that differs, and the network that the file belongs to.
    """
    content = read_content(path)
    difference = first_difference(network, content)
    if difference is None:
        return
    raise ModelError(f"{_mismatch(record, path)}: {difference}{_owner(record, content)}")


def refresh_normalization(model: keras.Model) -> None:
    """Let the normalisation layers use weights that `set_weights` has changed, of which they keep a copy."""
    for layer in _normalizations(model):
        layer.finalize_state()


def _described(record: Pretrained) -> str:
    width = "" if record.alpha is None else f" with alpha={record.alpha:g}"
    return f"{record.name}{width}"


def _owner(record: Pretrained, content: WeightsContent) -> str:
    """The network that a file belongs to, for the end of a message; empty where it is not known."""
    if known := network_of(content):
        return f"; the file belongs to {known}" if str(known) != _described(record) else ""
    if inside := network_inside(content):
        return (
            f"; the file belongs to a model that has {inside} as one of its layers: save this layer alone, as in "
            'model.get_layer(NAME).save_weights("FILE.weights.h5")'
        )
    return ""


def _mismatch(record: Pretrained, path: Path) -> str:
    return f"backbone: the weights in {path} do not fit {_described(record)}"


def _repair_normalization(network: keras.Model) -> None:
    """Turn the deviations that Keras' EfficientNet files hold as variances into variances.

    Keras itself corrects them by one more layer, but only where it downloads the file.
    """
    for layer in _normalizations(network):
        mean, variance, *count = layer.get_weights() or (None, np.empty(0))
        if variance.shape == (3,) and np.allclose(variance, _IMAGENET_DEVIATIONS, atol=1e-4):
            layer.set_weights([mean, variance**2, *count])
    refresh_normalization(network)


def _normalizations(model: keras.Model) -> Iterator[keras.layers.Normalization]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _normalizations(layer)
        elif isinstance(layer, keras.layers.Normalization):
            yield layer
