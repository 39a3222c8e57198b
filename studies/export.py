"""Writes the exported model: a folder that answers on new images with plain Keras or TensorFlow."""

import errno
import json
import math
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np

from spaces.errors import ExportError, SearchError
from studies.backend.quiet import quiet_keras
from studies.card import model_card
from studies.export_folder import METRICS, Publish, publish_at_once, replacing

_ROUNDING, _MARGIN = 1e-6, 10.0
"""A relative change of pixels by a few last digits of float32, and how many times its effect a format may be off."""

_LARGEST_BY_ROUNDING = 0.02

LARGEST_DIFFERENCE = 1e-4
"""A written model whose probabilities differ by more from the model in memory is wrong."""

KERAS_FILE, SAVED_MODEL, LABELS, RECIPE, CARD = "model.keras", "saved_model", "labels.json", "recipe.json", "CARD.md"


def export_model(
    model: keras.Model,
    folder: Path,
    *,
    labels: Sequence[str],
    image_shape: tuple[int, int, int],
    resize: str,
    recipe_json: Any,
    metrics: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    samples: np.ndarray,
    draw: Callable[[Path], Sequence[str]] = lambda folder: (),
    study: str = "",
    publish: Publish = publish_at_once,
    has_time: Callable[[], bool] = lambda: True,
) -> dict[str, Any]:
    """Write a model in every format, load each again, compare it, and put the folder in place of an earlier one.

    Args:
        model: An inference model: raw images, 0 to 255, to probabilities.
        folder: Where it is written. What was there stays until all of the new one is there.
        labels: Names of the classes.
        image_shape: (height, width, channels) of one image.
        resize: How images of another size are brought to it: `stretch`, `crop` or `pad`.
        recipe_json: The recipe's canonical form.
        metrics: Called with the exports, by format `max_abs_difference` (or `skipped`, the reason); returns what
            `metrics.json` holds, in which `exports` and `versions` are filled in if they are left out.
        samples: Real images (k, height, width, channels) uint8 to compare the formats on, at least one.
        draw: Called with the new folder, writes pictures into it; returns the files' names, for the card.
        study: Identity of the study, of which `metrics` must speak too; an export of another study is moved, not
            replaced.
        publish: Puts the new folder in place while the export is this process's.
        has_time: Asked before what a usable export can do without, the SavedModel and the pictures, whether to write
            it.

    Returns:
        What `metrics.json` holds.

    Raises:
        ExportError: A format cannot be written or loaded, or answers otherwise than the model in memory.
        ExportTaken: The export is another worker's by now.
        OutputError: The folder cannot be written.
    """
    answers = _answers(model, samples)
    with replacing(folder, study, publish) as new:
        exports = {
            "keras": {"max_abs_difference": _export_keras(model, new, samples, answers)},
            "saved_model": (
                _export_saved_model(model, new, samples, answers) if has_time() else {"skipped": "no time left"}
            ),
        }
        written: dict[str, Any] = _strict({"exports": exports, "versions": versions(), **metrics(exports)})
        form = {"labels": list(labels), "image_shape": list(image_shape), "resize": resize, "value_range": [0, 255]}
        _write_json(new / LABELS, form)
        _write_json(new / RECIPE, recipe_json)
        _write_json(new / METRICS, written)
        (new / CARD).write_text(model_card(written, form, draw(new) if has_time() else ()), encoding="utf-8")
    return written


def versions() -> dict[str, str]:
    """Versions of the libraries that an exported model depends on."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version(), "backend": keras.backend.backend()}
    for name in ("search", "keras", keras.backend.backend(), "numpy", "optuna"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _export_keras(model: keras.Model, folder: Path, samples: np.ndarray, answers: np.ndarray) -> float:
    path = folder / KERAS_FILE
    with _readable_errors(KERAS_FILE, "written"), quiet_keras():
        model.save(path)
    with _readable_errors(KERAS_FILE, "loaded again by plain Keras"), quiet_keras():
        loaded = keras.models.load_model(path)
        found = [_answers(loaded, samples), _answers(loaded, samples.astype(np.float32))]
    return _compared(KERAS_FILE, model, samples, found, answers)


def _export_saved_model(model: keras.Model, folder: Path, samples: np.ndarray, answers: np.ndarray) -> dict[str, Any]:
    if keras.backend.backend() != "tensorflow":
        return {"skipped": f"needs the tensorflow backend, not {keras.backend.backend()}"}
    from studies.tensorflow_export import saved_model_outputs, write_saved_model

    path = folder / SAVED_MODEL
    with _readable_errors(SAVED_MODEL, "written"), quiet_keras():
        write_saved_model(model, path)
    with _readable_errors(SAVED_MODEL, "loaded again by TensorFlow"), keras.device("cpu:0"):
        found = saved_model_outputs(path, samples)
    return {"max_abs_difference": _compared(SAVED_MODEL, model, samples, found, answers)}


def _answers(model: keras.Model, samples: np.ndarray) -> np.ndarray:
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
    change = float(np.abs(_answers(model, shifted) - answers).max())
    return min(_LARGEST_BY_ROUNDING, max(LARGEST_DIFFERENCE, _MARGIN * change)) if np.isfinite(change) else 0.0


def _write_json(path: Path, content: Any) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _strict(value: Any) -> Any:
    """The value with None in place of NaN and infinity, for which JSON has no form."""
    if isinstance(value, Mapping):
        return {key: _strict(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


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
