"""The formats of an exported model: each is written, loaded again and compared with the model in memory."""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np

from spaces.errors import ExportError, SearchError
from studies.backend.quiet import quiet_keras

_ROUNDING, _MARGIN = 1e-6, 10.0
"""A relative change of pixels by a few last digits of float32, and how many times its effect a format may be off."""

_LARGEST_BY_ROUNDING = 0.02

LARGEST_DIFFERENCE = 1e-4
"""A written model whose probabilities differ by more from the model in memory is wrong."""

KERAS_FILE, SAVED_MODEL, LABELS, RECIPE, CARD = "model.keras", "saved_model", "labels.json", "recipe.json", "CARD.md"


def export_keras(model: keras.Model, folder: Path, samples: np.ndarray, answers: np.ndarray) -> float:
    path = folder / KERAS_FILE
    with _readable_errors(KERAS_FILE, "written"), quiet_keras():
        model.save(path)
    with _readable_errors(KERAS_FILE, "loaded again by plain Keras"), quiet_keras():
        loaded = keras.models.load_model(path)
        found = [answers_of(loaded, samples), answers_of(loaded, samples.astype(np.float32))]
    return _compared(KERAS_FILE, model, samples, found, answers)


def export_saved_model(model: keras.Model, folder: Path, samples: np.ndarray, answers: np.ndarray) -> dict[str, Any]:
    if keras.backend.backend() != "tensorflow":
        return {"skipped": f"needs the tensorflow backend, not {keras.backend.backend()}"}
    from studies.export.tensorflow_saved_model import saved_model_outputs, write_saved_model

    path = folder / SAVED_MODEL
    with _readable_errors(SAVED_MODEL, "written"), quiet_keras():
        write_saved_model(model, path)
    with _readable_errors(SAVED_MODEL, "loaded again by TensorFlow"), keras.device("cpu:0"):
        found = saved_model_outputs(path, samples)
    return {"max_abs_difference": _compared(SAVED_MODEL, model, samples, found, answers)}


def answers_of(model: keras.Model, samples: np.ndarray) -> np.ndarray:
    # On the CPU, since some GPUs round products of float32 to ten bits, differently in each format.
    with keras.device("cpu:0"):
        answers: np.ndarray = keras.ops.convert_to_numpy(model(samples, training=False))
    return answers


def _compared(
    name: str, model: keras.Model, samples: np.ndarray, found: Sequence[np.ndarray], answers: np.ndarray
) -> float:
    """The largest absolute difference."""
    difference = max(float(np.abs(answer - answers).max()) for answer in found)
    if difference <= LARGEST_DIFFERENCE:
        return difference
    allowed = largest_difference(model, samples, answers)
    if not difference <= allowed:
        raise ExportError(
            f"{name}: must answer as the model in memory does, but its probabilities differ by {difference:.2g}, "
            f"more than {allowed:.2g}"
        )
    return difference


def largest_difference(model: keras.Model, samples: np.ndarray, answers: np.ndarray) -> float:
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
    change = float(np.abs(answers_of(model, shifted) - answers).max())
    return min(_LARGEST_BY_ROUNDING, max(LARGEST_DIFFERENCE, _MARGIN * change)) if np.isfinite(change) else 0.0


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
