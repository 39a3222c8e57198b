"""Writes the exported model: a folder that answers on new images with plain Keras or TensorFlow."""

import json
import math
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from studies.export.card import model_card
from studies.export.export_folder import METRICS, Publish, publish_at_once, replace_folder
from studies.export.formats import CARD, LABELS, RECIPE, export_formats, outputs_of


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
        ExportLockLostError: The export is another worker's by now.
        OutputError: The folder cannot be written.
    """
    answers = outputs_of(model, samples)
    with replace_folder(folder, study, publish) as new:
        exports = export_formats(model, new, samples, answers, has_time)
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
