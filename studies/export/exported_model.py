"""Loads an exported model, and applies it to new images or a labelled folder."""

import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from spaces.errors import DataError, ExportError, UnreadableImagesError
from studies.backend.quiet import quiet_keras
from studies.export.export_folder import METRICS, previous_export
from studies.export.formats import KERAS_FILE, LABELS, SAVED_MODEL
from studies.models.exportable import registered_names
from studies.training.scores import Scores, class_probabilities, compute_scores, predict_probabilities

if TYPE_CHECKING:
    from studies.data.dataset import Skipped

TOP_CLASSES = 3
_EXPORT_AGAIN = "\nhint: export the model again with `search run`"


@dataclass(frozen=True)
class ExportedModel:
    """Loaded export.

    Args:
        folder: Folder of the export.
        model: Model from raw images to probabilities.
        labels: Names of the classes.
        image_shape: (height, width, channels) of one image.
        resize: How images of other sizes are resized.
        metrics: Content of `metrics.json`.
    """

    folder: Path
    model: keras.Model
    labels: tuple[str, ...]
    image_shape: tuple[int, int, int]
    resize: str
    metrics: dict[str, Any]


@dataclass(frozen=True)
class Prediction:
    """Prediction for one image.

    Args:
        path: Path of the image as passed.
        label: Most probable class.
        probability: Probability of that class.
        top: Up to three pairs (class, probability), the most probable first.
    """

    path: str
    label: str
    probability: float
    top: tuple[tuple[str, float], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the prediction as JSON values."""
        return {**asdict(self), "top": [{"label": label, "probability": p} for label, p in self.top]}


@dataclass(frozen=True)
class Evaluation:
    """Scores on a labelled folder.

    Args:
        scores: Scores on the readable images.
        skipped: Files that could not be read.
    """

    scores: Scores
    skipped: "tuple[Skipped, ...]"


def load_export(folder: Path) -> ExportedModel:
    """Load an export written by `export_model`.

    Raises:
        ExportError: The folder is missing or incomplete, or a file in it is damaged.
    """
    export = _find_export(folder)
    form, metrics = _read_json(export / LABELS), _read_json(export / METRICS)
    try:
        labels, image_shape, resize = tuple(form["labels"]), tuple(form["image_shape"]), form["resize"]
    except (KeyError, TypeError) as error:
        raise ExportError(f"invalid content in {export / LABELS}{_EXPORT_AGAIN}") from error
    model = _load_model(export / KERAS_FILE, image_shape)
    # A model for two classes returns the probability of the second, or both.
    outputs = (1, 2) if len(labels) == 2 else (len(labels),)
    if model.input_shape != (None, *image_shape) or model.output_shape not in [(None, each) for each in outputs]:
        raise ExportError(
            f"{export}: {LABELS} describes {len(labels)} classes and images of shape {image_shape}, but {KERAS_FILE} "
            f"maps {model.input_shape[1:]} to {model.output_shape[1:]}{_EXPORT_AGAIN}"
        )
    return ExportedModel(export, model, labels, image_shape, resize, metrics)


def predict(exported: ExportedModel, paths: Sequence[Path], batch_size: int = 64) -> list[Prediction]:
    """Classify images.

    Args:
        paths: Image files of any size.
        batch_size: Number of images that are read and classified at once.

    Raises:
        UnreadableImagesError: Files are missing or not images; contains the predictions for the others.
    """
    found: list[Prediction] = []
    problems: list[str] = []
    for start in range(0, len(paths), batch_size):
        found += _predict_batch(exported, paths[start : start + batch_size], problems)
    if problems:
        raise UnreadableImagesError(found, problems)
    return found


def evaluate_folder(exported: ExportedModel, folder: Path) -> Evaluation:
    """Score a model on a folder with one subfolder of images per class, matched by name.

    Raises:
        DataError: The folder cannot be used, or contains other classes.
    """
    from studies.data.image_folder import read_labelled_folder

    split, skipped = read_labelled_folder(folder, exported.labels, exported.image_shape, exported.resize)
    probabilities = predict_probabilities(exported.model, split.images)
    return Evaluation(compute_scores(probabilities, split.labels, exported.labels), tuple(skipped))


def _predict_batch(exported: ExportedModel, paths: Sequence[Path], problems: list[str]) -> list[Prediction]:
    """Return the predictions for readable images, and append the errors of the others to `problems`."""
    from studies.images.decoding import read_image

    images: dict[int, np.ndarray] = {}
    for index, path in enumerate(paths):
        try:
            images[index] = read_image(path, exported.image_shape, exported.resize)
        except DataError as error:
            problems.append(str(error))
    if not images:
        return []
    probabilities = class_probabilities(predict_probabilities(exported.model, np.stack(list(images.values()))))
    return [
        _to_prediction(paths[index], row, exported.labels) for index, row in zip(images, probabilities, strict=True)
    ]


def _to_prediction(path: Path, probabilities: np.ndarray, labels: Sequence[str]) -> Prediction:
    order = np.argsort(-probabilities, kind="stable")[:TOP_CLASSES]
    top = tuple((labels[index], float(probabilities[index])) for index in order)
    return Prediction(str(path), *top[0], top)


def _find_export(folder: Path) -> Path:
    """Return the folder, or its previous content if a replacement was interrupted."""
    export = folder if folder.exists() else previous_export(folder)
    if not export.is_dir():
        raise ExportError(f"no exported model in {folder}\nhint: pass the folder that `search run` printed")
    for name in (KERAS_FILE, LABELS, METRICS):
        if not (export / name).is_file():
            raise ExportError(f"incomplete export in {folder}: {name} is missing{_EXPORT_AGAIN}")
    return export


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ExportError(f"cannot read {path} as JSON ({error}){_EXPORT_AGAIN}") from error


def _load_model(path: Path, image_shape: tuple[int, int, int]) -> keras.Model:
    try:
        with quiet_keras():
            return keras.models.load_model(path, compile=False)
    except Exception as error:
        own, saved_model = _custom_names(path), path.parent / SAVED_MODEL
        if own and saved_model.is_dir() and keras.backend.backend() == "tensorflow":
            from studies.export.tensorflow_saved_model import saved_model_network

            return saved_model_network(saved_model, image_shape)
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if own:
            reason = f"it contains custom code ({', '.join(own)}), which only the program that defines it can load"
        raise ExportError(f"Keras cannot load {path}: {reason}") from error


def _custom_names(path: Path) -> list[str]:
    """Return the names of custom layers and functions in a saved model; empty if it cannot be read."""
    try:
        with zipfile.ZipFile(path) as saved:
            names = registered_names(json.loads(saved.read("config.json")))
            return sorted({name.rpartition(">")[2] for name in names if ">" in name})
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return []
