"""Uses an exported model: on new images, and on a labelled folder."""

import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from spaces.errors import DataError, ExportError, UnreadableImagesError
from studies.backend.quiet import quiet_keras
from studies.export.export_folder import METRICS, previous_export
from studies.export.formats import KERAS_FILE, LABELS, SAVED_MODEL
from studies.training.scores import Scores, class_probabilities, compute_scores, predict_probabilities

if TYPE_CHECKING:
    from studies.data.dataset import Skipped

TOP_CLASSES = 3


@dataclass(frozen=True)
class ExportedModel:
    """An exported model, loaded.

    Args:
        folder: Where it was loaded from.
        model: Raw images to probabilities.
        labels: Names of the classes.
        image_shape: (height, width, channels) of one image.
        resize: How images of another size are brought to it.
        metrics: What `metrics.json` holds.
    """

    folder: Path
    model: keras.Model
    labels: tuple[str, ...]
    image_shape: tuple[int, int, int]
    resize: str
    metrics: dict[str, Any]


@dataclass(frozen=True)
class Prediction:
    """What a model says of one image.

    Args:
        path: The image's path as it was given.
        label: The most probable class.
        probability: Its probability.
        top: Up to three (class, probability), the most probable first.
    """

    path: str
    label: str
    probability: float
    top: tuple[tuple[str, float], ...]

    def to_json(self) -> dict[str, Any]:
        """The prediction as dicts, lists, texts and numbers."""
        return {**asdict(self), "top": [{"label": label, "probability": p} for label, p in self.top]}


@dataclass(frozen=True)
class Evaluation:
    """Scores on a labelled folder.

    Args:
        scores: On the images that could be read.
        skipped: The files that could not.
    """

    scores: Scores
    skipped: "tuple[Skipped, ...]"


def load_export(folder: Path) -> ExportedModel:
    """Load what `export_model` wrote.

    Raises:
        ExportError: The folder is absent or incomplete, or a file in it is damaged.
    """
    place = _find_export(folder)
    form, metrics = _read_json(place / LABELS), _read_json(place / METRICS)
    try:
        labels, image_shape, resize = tuple(form["labels"]), tuple(form["image_shape"]), form["resize"]
    except (KeyError, TypeError) as error:
        raise ExportError(f"{place / LABELS} is not as `search` writes it: export the model again") from error
    model = _load_model(place / KERAS_FILE, image_shape)
    # Two classes are told apart by the probability of the second, or by those of both.
    outputs = (1, 2) if len(labels) == 2 else (len(labels),)
    if model.input_shape != (None, *image_shape) or model.output_shape not in [(None, each) for each in outputs]:
        raise ExportError(
            f"{place}: {LABELS} names {len(labels)} classes and images of {image_shape}, but {KERAS_FILE} turns "
            f"{model.input_shape[1:]} into {model.output_shape[1:]}: export the model again"
        )
    return ExportedModel(place, model, labels, image_shape, resize, metrics)


def predict(exported: ExportedModel, paths: Sequence[Path], batch_size: int = 64) -> list[Prediction]:
    """Classify images.

    Args:
        exported: The model.
        paths: Image files of any size.
        batch_size: Images that are read and classified at once.

    Raises:
        UnreadableImagesError: Files are missing or are no images; it holds the predictions of the others.
    """
    found: list[Prediction] = []
    problems: list[str] = []
    for start in range(0, len(paths), batch_size):
        found += _predict_batch(exported, paths[start : start + batch_size], problems)
    if problems:
        raise UnreadableImagesError(found, problems)
    return found


def evaluate_folder(exported: ExportedModel, folder: Path) -> Evaluation:
    """Score a model on a folder with one sub-folder of images for each class, matched by name.

    Raises:
        DataError: The folder cannot be used, or holds other classes.
    """
    from studies.data.image_folder import read_labelled_folder

    split, skipped = read_labelled_folder(folder, exported.labels, exported.image_shape, exported.resize)
    probabilities = predict_probabilities(exported.model, split.images)
    return Evaluation(compute_scores(probabilities, split.labels, exported.labels), tuple(skipped))


def _predict_batch(exported: ExportedModel, paths: Sequence[Path], problems: list[str]) -> list[Prediction]:
    """The predictions of the images that can be read; what is wrong with the others is added to `problems`."""
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
    return [_prediction(paths[index], row, exported.labels) for index, row in zip(images, probabilities, strict=True)]


def _prediction(path: Path, probabilities: np.ndarray, labels: Sequence[str]) -> Prediction:
    order = np.argsort(-probabilities, kind="stable")[:TOP_CLASSES]
    top = tuple((labels[index], float(probabilities[index])) for index in order)
    return Prediction(str(path), *top[0], top)


def _find_export(folder: Path) -> Path:
    """The folder, or what it held before a replacement that was cut short."""
    place = folder if folder.exists() else previous_export(folder)
    if not place.is_dir():
        raise ExportError(f"{folder} is not a folder with an exported model: give the one that `search run` printed")
    for name in (KERAS_FILE, LABELS, METRICS):
        if not (place / name).is_file():
            raise ExportError(f"{folder} holds no complete export, {name} is missing: run `search run` again")
    return place


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ExportError(f"{path} cannot be read as JSON ({error}): export the model again") from error


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
            reason = f"it holds code of your own ({', '.join(own)}), which only the program that defines it can load"
        raise ExportError(f"{path} cannot be loaded by Keras: {reason}") from error


def _custom_names(path: Path) -> list[str]:
    """Names of the layers and functions in a saved model that are not part of Keras; empty if it cannot be read."""
    try:
        with zipfile.ZipFile(path) as saved:
            return sorted(set(_names_outside_keras(json.loads(saved.read("config.json")))))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):
        return []


def _names_outside_keras(config: Any) -> Iterator[str]:
    if isinstance(config, dict):
        name = config.get("registered_name")
        if isinstance(name, str) and ">" in name:
            yield name.rpartition(">")[2]
        config = list(config.values())
    if isinstance(config, list):
        for each in config:
            yield from _names_outside_keras(each)
