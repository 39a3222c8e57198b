"""Formats of exported models: writes each, loads it again and compares it with the model in memory."""

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
from studies.models.outputs import outputs_on_cpu

_ROUNDING, _MARGIN = 1e-6, 10.0
"""Relative noise of pixels in the last digits of float32, and the allowed difference as a multiple of its effect."""

_MAX_ROUNDING_DIFFERENCE = 0.02

MAX_DIFFERENCE = 1e-4
"""Maximum difference between the probabilities of a written model and those of the model in memory."""

KERAS_FILE, SAVED_MODEL, LABELS, RECIPE, CARD = "model.keras", "saved_model", "labels.json", "recipe.json", "CARD.md"


@dataclass(frozen=True)
class Format:
    """Format of exported models.

    Args:
        file: File or folder in the export.
        write: Writes a model to a path.
        outputs: Loads a path and returns the probabilities for uint8 images, once for each way to call the model.
        loader: Name of the program that loads the format.
        backend: Keras backend that is required to write it; None for any.
        usage: Sentence on its use for the model card.
    """

    file: str
    write: Callable[[keras.Model, Path], None]
    outputs: Callable[[Path, np.ndarray], Sequence[np.ndarray]]
    loader: str
    backend: str | None = None
    usage: str = ""


def export_formats(
    model: keras.Model, folder: Path, samples: np.ndarray, expected: np.ndarray, has_time: Callable[[], bool]
) -> dict[str, dict[str, Any]]:
    """Write a model in every format, load each again and compare its probabilities.

    Args:
        samples: Images (k, height, width, channels) uint8.
        expected: Probabilities of the model in memory for the samples.
        has_time: Returns True if there is time for another format; not called for Keras' own, which is required.

    Returns:
        `max_abs_difference` for each format, or the reason why it was `skipped`.

    Raises:
        ExportError: A format cannot be written or loaded, or gives other probabilities than the model in memory.
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
            exports[name] = {"max_abs_difference": _verify(form.file, model, samples, found, expected)}
        else:
            exports[name] = {"skipped": "no time left"}
    return exports


def _keras_outputs(path: Path, samples: np.ndarray) -> list[np.ndarray]:
    loaded = keras.models.load_model(path)
    return [outputs_on_cpu(loaded, samples), outputs_on_cpu(loaded, samples.astype(np.float32))]


def _write_saved_model(model: keras.Model, path: Path) -> None:
    # Other backends work without TensorFlow.
    from studies.export.tensorflow_saved_model import write_saved_model

    write_saved_model(model, path)


def _saved_model_outputs(path: Path, samples: np.ndarray) -> list[np.ndarray]:
    from studies.export.tensorflow_saved_model import saved_model_outputs

    with keras.device("cpu:0"):
        return saved_model_outputs(path, samples)


def _verify(
    name: str, model: keras.Model, samples: np.ndarray, found: Sequence[np.ndarray], expected: np.ndarray
) -> float:
    """Return the maximum absolute difference to the expected probabilities."""
    difference = max(float(np.abs(answer - expected).max()) for answer in found)
    if difference <= MAX_DIFFERENCE:
        return difference
    allowed = allowed_difference(model, samples, expected)
    if not difference <= allowed:
        raise ExportError(
            f"{name}: the probabilities differ by {difference:.2g} from those of the model in memory (allowed: "
            f"{allowed:.2g})"
        )
    return difference


def allowed_difference(model: keras.Model, samples: np.ndarray, expected: np.ndarray) -> float:
    """Return the allowed difference of probabilities: 1e-4, or more if rounding alone has a larger effect.

    Each format sums products in another order. A network with large weights, as after a few steps at a high learning
    rate, amplifies this. The arguments are those of `export_formats`.
    """
    noise = np.random.default_rng(0).uniform(-_ROUNDING, _ROUNDING, samples.shape)
    shifted = (samples * (1 + noise)).astype(np.float32)
    change = float(np.abs(outputs_on_cpu(model, shifted) - expected).max())
    return min(_MAX_ROUNDING_DIFFERENCE, max(MAX_DIFFERENCE, _MARGIN * change)) if np.isfinite(change) else 0.0


@contextmanager
def _readable_errors(name: str, done: str) -> Iterator[None]:
    """Summarise a library's error in one sentence; file system errors pass through."""
    try:
        yield
    except (SearchError, OSError, MemoryError):
        raise
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if os.strerror(errno.ENOSPC) in str(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise ExportError(
            f"{name}: the model could not be {done}: {reason}\nhint: custom layers need get_config() and "
            "@keras.saving.register_keras_serializable()"
        ) from error


FORMATS: Mapping[str, Format] = {
    "keras": Format(KERAS_FILE, lambda model, path: model.save(path), _keras_outputs, "plain Keras"),
    "saved_model": Format(
        SAVED_MODEL,
        _write_saved_model,
        _saved_model_outputs,
        "TensorFlow",
        backend="tensorflow",
        usage="`saved_model/`, if present, has the endpoints `serve` for float32 and `serve_uint8` for integers.",
    ),
}
"""Formats by name in `metrics.json`."""
