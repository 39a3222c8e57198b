"""Writes an exported model: a folder that plain Keras or TensorFlow can use on new images."""

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
from studies.export.formats import CARD, LABELS, RECIPE, export_formats
from studies.models.outputs import outputs_on_cpu


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
    """Write a model in every format, verify each, and replace an earlier export.

    Args:
        model: An inference model from raw images, 0 to 255, to probabilities.
        folder: Target folder. An earlier export in it stays until the new one is complete.
        image_shape: (height, width, channels) of one image.
        resize: How images of other sizes are resized: `stretch`, `crop` or `pad`.
        metrics: Called with the result of `export_formats`; returns the content of `metrics.json`, to which `exports`
            and `versions` are added if missing.
        samples: Real images (k, height, width, channels) uint8 for the comparison of formats, at least one.
        draw: Called with the new folder; writes plots into it and returns their file names.
        study: Identity of the study, also part of `metrics`; an export of another study is moved, not replaced.
        publish: Moves the new folder into place while this process holds the export lock.
        has_time: Returns True if there is time for optional parts of the export, the SavedModel and the plots.

    Returns:
        The content of `metrics.json`.

    Raises:
        ExportError: A format cannot be written or loaded, or gives other probabilities than the model in memory.
        ExportLockLostError: Another worker has claimed the export.
        OutputError: The folder cannot be written.
    """
    expected = outputs_on_cpu(model, samples)
    with replace_folder(folder, study, publish) as new:
        exports = export_formats(model, new, samples, expected, has_time)
        written: dict[str, Any] = _without_nan({"exports": exports, "versions": versions(), **metrics(exports)})
        form = {"labels": list(labels), "image_shape": list(image_shape), "resize": resize, "value_range": [0, 255]}
        _write_json(new / LABELS, form)
        _write_json(new / RECIPE, recipe_json)
        _write_json(new / METRICS, written)
        (new / CARD).write_text(model_card(written, form, draw(new) if has_time() else ()), encoding="utf-8")
    return written


def versions() -> dict[str, str]:
    """Return the versions of the libraries that an exported model depends on."""
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


def _without_nan(value: Any) -> Any:
    """Replace NaN and infinity, which JSON does not support, by None."""
    if isinstance(value, Mapping):
        return {key: _without_nan(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
