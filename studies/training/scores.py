"""Scores of predicted probabilities: accuracy, loss, AUC, and precision, recall and F1 of the classes."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from spaces.errors import DataError, ModelError

MIN_CLASSES = {"top_5_accuracy": 6}
"""Minimum number of classes for which a score has a meaning, if more than two."""

MEANS = ("precision", "recall", "f1")

# Keras clips probabilities the same way in its cross entropies.
_SMALLEST_PROBABILITY = 1e-7

_Z = 1.959964
"""Quantile of the normal distribution for an interval of 95%."""


@dataclass(frozen=True)
class ClassScores:
    """The scores of one class.

    Args:
        label: Name of the class.
        precision: Fraction of correct predictions among the images predicted as this class; 0 without any.
        recall: Fraction of the images of this class that were predicted as such; 0 without any.
        f1: Harmonic mean of precision and recall.
        images: Number of images of this class.
    """

    label: str
    precision: float
    recall: float
    f1: float
    images: int


@dataclass(frozen=True)
class Scores:
    """The scores of a model on labelled images.

    Args:
        images: Number of images.
        accuracy: Fraction of images whose most probable class is the true one.
        loss: Mean cross entropy, in nats.
        auc: Area under the ROC curve of each class against the rest; None if all images are of one class.
        precision: Mean over the classes that have images; for two classes, the value of the second.
        recall: Like precision.
        f1: Like precision.
        top_5_accuracy: Fraction of images whose true class is among the five most probable ones; None for fewer than
            six classes.
        classes: The scores of each class.
        confusion_matrix: Images by true class (rows) and predicted class (columns).
    """

    images: int
    accuracy: float
    loss: float
    auc: float | None
    precision: float
    recall: float
    f1: float
    top_5_accuracy: float | None
    classes: tuple[ClassScores, ...]
    confusion_matrix: tuple[tuple[int, ...], ...]

    @property
    def accuracy_interval(self) -> tuple[float, float]:
        """The 95% confidence interval of the accuracy (Wilson, 1927): of images like these, if drawn at random."""
        n, share = self.images, self.accuracy
        centre = share + _Z**2 / (2 * n)
        width = _Z * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
        low, high = ((centre + sign * width) / (1 + _Z**2 / n) for sign in (-1, 1))
        return max(0.0, low), min(1.0, high)

    def to_json(self) -> dict[str, Any]:
        """Return the scores as values that JSON can hold."""
        form = {**asdict(self), "accuracy_interval": list(self.accuracy_interval)}
        form["classes"] = list(form["classes"])
        form["confusion_matrix"] = [list(row) for row in self.confusion_matrix]
        return form


SCORES = tuple(field.name for field in fields(Scores) if field.type in (float, float | None))
"""The fields of `Scores` that are one number for all images; `val_` before one of them is the name of a metric."""


def compute_scores(probabilities: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> Scores:
    """Score probabilities against true labels.

    Args:
        probabilities: Of the second class (n, 1), or of each class (n, classes).
        labels: Index of the true class of each image (n,).
        classes: Names of the classes.

    Raises:
        DataError: There are no images.
        ModelError: A probability is not a number.
    """
    if not len(labels):
        raise DataError("no images to evaluate\nhint: pass at least one image")
    full = class_probabilities(probabilities)
    predicted = full.argmax(axis=1)
    confusion = _confusion_matrix(labels, predicted, len(classes))
    per_class = _per_class(confusion, classes)
    counted = per_class[1:] if len(classes) == 2 else [scores for scores in per_class if scores.images]
    return Scores(
        images=len(labels),
        accuracy=float(np.mean(predicted == labels)),
        loss=_cross_entropy(full, labels),
        auc=_auc(full, labels),
        **{name: math.fsum(getattr(each, name) for each in counted) / len(counted) for name in MEANS},
        top_5_accuracy=_top_5_accuracy(full, labels),
        classes=per_class,
        confusion_matrix=tuple(map(tuple, confusion.tolist())),
    )


def class_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """Return one column for each class (n, classes), also for the single column of a two-class model.

    Raises:
        ModelError: A probability is not a number.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ModelError("the model's outputs are not all numbers: its weights are NaN or infinite")
    return np.hstack([1 - values, values]) if values.shape[1] == 1 else values


def predict_probabilities(model: Any, images: np.ndarray, batch_size: int = 64) -> np.ndarray:
    """Return the outputs (n, 1) or (n, classes) of an inference model for images (n, height, width, channels).

    Pixels are from 0 to 255. The images are read batch by batch, so that a memory map stays on disk.
    """
    size = max(1, min(batch_size, len(images)))
    outputs = [_predict_batch(model, images[start : start + size], size) for start in range(0, len(images), size)]
    return np.concatenate(outputs) if outputs else np.empty((0, *model.output_shape[1:]), np.float32)


def _predict_batch(model: Any, images: np.ndarray, size: int) -> np.ndarray:
    # A last batch of another size would be traced again.
    batch = np.zeros((size, *images.shape[1:]), np.float32)
    batch[: len(images)] = images
    return np.asarray(model.predict_on_batch(batch))[: len(images)]


def _cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    of_true_class = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.clip(of_true_class, _SMALLEST_PROBABILITY, 1.0)).mean())


def _auc(probabilities: np.ndarray, labels: np.ndarray) -> float | None:
    """Return the mean over the classes that have images, as scikit-learn does, without its slower checks."""
    present = np.unique(labels)
    if len(present) < 2:
        return None
    return math.fsum(
        _area(probabilities[labels == each, each], probabilities[labels != each, each]) for each in present
    ) / len(present)


def _area(of_class: np.ndarray, of_others: np.ndarray) -> float:
    """Return the fraction of pairs in which the image of the class has the larger value; equal ones count half.

    Mann and Whitney's U over the number of pairs (Hanley and McNeil, 1982).
    """
    others = np.sort(of_others)
    smaller, not_larger = (np.searchsorted(others, of_class, side) for side in ("left", "right"))
    return float((smaller + not_larger).sum() / (2 * len(of_class) * len(others)))


def _top_5_accuracy(probabilities: np.ndarray, labels: np.ndarray) -> float | None:
    """Return the fraction; of equally probable classes the first ones count, as in the accuracy."""
    if probabilities.shape[1] < MIN_CLASSES["top_5_accuracy"]:
        return None
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :5]
    return float((best == labels[:, None]).any(axis=1).mean())


def _per_class(confusion: np.ndarray, classes: Sequence[str]) -> tuple[ClassScores, ...]:
    correct, images, predicted = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    columns = (correct / np.maximum(each, 1) for each in (predicted, images, (images + predicted) / 2))
    return tuple(
        ClassScores(label, float(precision), float(recall), float(f1), int(count))
        for label, precision, recall, f1, count in zip(classes, *columns, images, strict=True)
    )


def _confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)
