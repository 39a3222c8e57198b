"""The formats of an exported model: each is written, loaded again and compared with the model in memory."""

import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from spaces.errors import ExportError, SearchError
from studies.backend.quiet import quiet_keras

_ROUNDING, _MARGIN = 1e-6, 10.0
"""A relative change of pixels by a few last digits of float32, and how many times its effect a format may be off."""

_MAX_ROUNDING_DIFFERENCE = 0.02

MAX_DIFFERENCE = 1e-4
"""A written model whose probabilities differ by more from the model in memory is wrong."""

KERAS_FILE, SAVED_MODEL, LABELS, RECIPE, CARD = "model.keras", "saved_model", "labels.json", "recipe.json", "CARD.md"


@dataclass(frozen=True)
class Format:
    """A format of exported models.

    Args:
        file: Its file or folder in the export.
        write: Writes a model to a path.
        outputs: Loads a path and returns the probabilities of images uint8, once for each way to ask for them.
        loader: The program that loads it.
        backend: The only backend of Keras that can write it; None for any.
        usage: What the model card says of its use.
    """

    file: str
    write: Callable[[keras.Model, Path], None]
    outputs: Callable[[Path, np.ndarray], Sequence[np.ndarray]]
    loader: str
    backend: str | None = None
    usage: str = ""


def export_formats(
    model: keras.Model, folder: Path, samples: np.ndarray, answers: np.ndarray, has_time: Callable[[], bool]
) -> dict[str, dict[str, Any]]:
    """Write a model in every format, load each again and compare it.

    Args:
        model: The model in memory.
        folder: The folder to write to.
        samples: Images (k, height, width, channels) uint8.
        answers: The probabilities that the model in memory gives for them.
        has_time: Asked before each format but Keras' own, without which there is no export.

    Returns:
        For each format `max_abs_difference`, or the reason why it was `skipped`.

    Raises:
        ExportError: A format cannot be written or loaded, or answers otherwise than the model in memory.
    """
    exports: dict[str, dict[str, Any]] = {}
    for name, form in FORMATS.items():
        if form.backend not in (None, keras.backend.backend()):
            exports[name] = {"skipped": f"needs the {form.backend} backend, not {keras.backend.backend()}"}
        elif name == "keras" or has_time():
            with _readable_errors(form.file, "written"), quiet_keras():
                form.write(model, folder / form.file)
            with _readable_errors(form.file, f"loaded again by {form.loader}"), quiet_keras():
                found = form.outputs(folder / form.file, samples)
            exports[name] = {"max_abs_difference": _verify(form.file, model, samples, found, answers)}
        else:
            exports[name] = {"skipped": "no time left"}
    return exports


def _write_keras(model: keras.Model, path: Path) -> None:
    model.save(path)


def _keras_outputs(path: Path, samples: np.ndarray) -> list[np.ndarray]:
    loaded = keras.models.load_model(path)
    return [outputs_of(loaded, samples), outputs_of(loaded, samples.astype(np.float32))]


def _write_saved_model(model: keras.Model, path: Path) -> None:
    # TensorFlow is imported only where it is the backend.
    from studies.export.tensorflow_saved_model import write_saved_model

    write_saved_model(model, path)


def _saved_model_outputs(path: Path, samples: np.ndarray) -> list[np.ndarray]:
    from studies.export.tensorflow_saved_model import saved_model_outputs

    with keras.device("cpu:0"):
        return saved_model_outputs(path, samples)


def outputs_of(model: keras.Model, samples: np.ndarray) -> np.ndarray:
    # On the CPU, since some GPUs round products of float32 to ten bits, differently in each format.
    with keras.device("cpu:0"):
        answers: np.ndarray = keras.ops.convert_to_numpy(model(samples, training=False))
    return answers


def _verify(
    name: str, model: keras.Model, samples: np.ndarray, found: Sequence[np.ndarray], answers: np.ndarray
) -> float:
    """The largest absolute difference."""
    difference = max(float(np.abs(answer - answers).max()) for answer in found)
    if difference <= MAX_DIFFERENCE:
        return difference
    allowed = allowed_difference(model, samples, answers)
    if not difference <= allowed:
        raise ExportError(
            f"{name}: must answer as the model in memory does, but its probabilities differ by {difference:.2g}, "
            f"more than {allowed:.2g}"
        )
    return difference


def allowed_difference(model: keras.Model, samples: np.ndarray, answers: np.ndarray) -> float:
    """How far the probabilities of a format may be off: 1e-4, or more where rounding alone changes them by more.

    A network with large weights, such as one that trained for few steps at a high learning rate, amplifies the last
    digit of a pixel, and each format adds its products in another order.

    Args:
        model: The model in memory.
        samples: Images (k, height, width, channels) uint8.
        answers: Its probabilities of them.
    """
    noise = np.random.default_rng(0).uniform(-_ROUNDING, _ROUNDING, samples.shape)
    shifted = (samples * (1 + noise)).astype(np.float32)
    change = float(np.abs(outputs_of(model, shifted) - answers).max())
    return min(_MAX_ROUNDING_DIFFERENCE, max(MAX_DIFFERENCE, _MARGIN * change)) if np.isfinite(change) else 0.0


@contextmanager
def _readable_errors(name: str, done: str) -> Iterator[None]:
    """Tell what a library raised in one sentence; errors of the file system stay what they are."""
    try:
        yield
    except (SearchError, OSError, MemoryError):
        raise
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if os.strerror(errno.ENOSPC) in str(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise ExportError(
            f"{name}: the model could not be {done}: {reason} (layers of your own need get_config() and "
            "@keras.saving.register_keras_serializable())"
        ) from error


FORMATS: Mapping[str, Format] = {
    "keras": Format(KERAS_FILE, _write_keras, _keras_outputs, "plain Keras"),
    "saved_model": Format(
        SAVED_MODEL,
        _write_saved_model,
        _saved_model_outputs,
        "TensorFlow",
        backend="tensorflow",
        usage="`saved_model/`, where present, answers `serve` for float32 and `serve_uint8` for whole numbers.",
    ),
}
"""The formats by their names in `metrics.json`."""
