"""The weights of a `Pretrained` network: from a file, or downloaded once by Keras."""

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np

from spaces.backbones import Pretrained
from spaces.errors import ModelError
from studies.checks import weights_path
from studies.models.memory import is_out_of_memory
from studies.quiet import quiet_keras

DOWNLOAD_SILENCE_SECONDS = 20.0
"""A download whose server is silent for so long is given up."""

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
            network.set_weights(_downloaded(network, record).get_weights())
        else:
            _load_file(network, record, weights_path(record, folder or Path()))
        _repair_normalization(network)


def refresh_normalization(model: keras.Model) -> None:
    """Let the normalisation layers use weights that `set_weights` has changed, of which they keep a copy."""
    for layer in _normalizations(model):
        layer.finalize_state()


def _load_file(network: keras.Model, record: Pretrained, path: Path) -> None:
    # Keras may leave a weight that the file lacks as it was, with a warning at most: NaN shows which.
    network.set_weights([_nothing(weight) for weight in network.get_weights()])
    try:
        network.load_weights(path)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0]
        raise ModelError(f"{_misfit(record, path)} ({reason})") from error
    missing = sum(bool(np.isnan(weight).any()) for weight in network.get_weights())
    if missing:
        raise ModelError(f"{_misfit(record, path)} ({missing} of {len(network.weights)} weights are not in it)")


def _nothing(weight: np.ndarray) -> np.ndarray:
    return np.full_like(weight, np.nan) if np.issubdtype(weight.dtype, np.floating) else weight


def _misfit(record: Pretrained, path: Path) -> str:
    width = "" if record.alpha is None else f" with alpha={record.alpha:g}"
    return f"backbone: the weights in {path} do not fit {record.name}{width} without its top"


def _downloaded(network: keras.Model, record: Pretrained) -> keras.Model:
    """The same network with the weights that Keras has in its cache or downloads."""
    application = getattr(keras.applications, record.name)
    options = {} if record.alpha is None else {"alpha": record.alpha}
    try:
        with _bounded_download():
            return application(weights="imagenet", include_top=False, input_shape=network.input_shape[1:], **options)
    except ValueError as error:
        raise ModelError(f"backbone: {record.name} has no such ImageNet weights: {error}") from error
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise ModelError(_no_download(record, error)) from error


@contextmanager
def _bounded_download() -> Iterator[None]:
    """Fail when the server is silent: Keras itself would wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_SILENCE_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _no_download(record: Pretrained, error: Exception) -> str:
    models = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"
    url = re.search(r"https?://\S+?(?=:? |$)", str(error))
    place = f"{url.group(0)} at {models / url.group(0).rsplit('/', 1)[-1]}" if url else f"them in {models}"
    return (
        f"backbone: the ImageNet weights of {record.name} could not be downloaded ({_reason(error)}): give a file with "
        f'Pretrained("{record.name}", weights="FILE"), or put {place}'
    )


def _reason(error: Exception) -> str:
    return str(error).rsplit(" -- ", 1)[-1].strip() or type(error).__name__


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
