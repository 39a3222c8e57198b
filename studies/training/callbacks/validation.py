"""Measures every score on the validation images after each epoch, in one pass."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from studies.models.outputs import probabilities_of
from studies.training.callbacks.stop import StopOnRequest
from studies.training.scores import MIN_CLASSES, SCORES, compute_scores

_VALUES_PER_BATCH, _LARGEST_BATCH = 2**20, 4096


class ValidationMetrics(keras.callbacks.Callback):  # type: ignore[misc]
    """Adds `val_loss`, `val_accuracy`, `val_auc` and so on to an epoch's metrics.

    It replaces Keras' own validation, and comes before the callbacks that read the metrics: loss and accuracy are those
    that Keras would compute. If Keras has validated, its metrics stay and the others are added.

    Args:
        data: Every validation image once, in order, in batches with targets.
        labels: Their classes (n,).
        classes: Number of classes.
        stop: Callback that interrupts epochs.
        compiled: Measure the compiled loss and metrics, unless Keras has; else the loss is the cross entropy.
    """

    def __init__(
        self, data: Any, labels: np.ndarray, classes: int, stop: StopOnRequest, *, compiled: bool = True
    ) -> None:
        super().__init__()
        self._data, self._labels, self._stop, self._compiled = data, labels, stop, compiled
        self._classes = [str(index) for index in range(classes)]

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Measure, unless a stop is requested."""
        if self._stop.stopped:
            return
        found = self._as_keras() if self._compiled and "val_loss" not in logs else {}
        outputs = found.pop("outputs", None)
        outputs = self._outputs() if outputs is None else outputs
        if self._stop.stopped:
            return
        for name, value in {**self._scores(outputs), **found}.items():
            logs.setdefault(f"val_{name}", value)

    def unfinished(self, can_measure_batch: Callable[[int], bool]) -> dict[str, float]:
        """Return the scores of the unfinished model by name, from the first batches.

        They are empty if nothing was measured, or if an output is not finite. `can_measure_batch` is called before each
        batch with the number of batches measured; it returns True to measure it.
        """
        outputs: list[np.ndarray] = []
        for images, *_ in _items(self._data):
            if not can_measure_batch(len(outputs)):
                break
            outputs.append(np.asarray(self.model.predict_on_batch(images)))
        if not outputs or not all(np.isfinite(each).all() for each in outputs):
            return {}
        found = np.concatenate(outputs)
        return {f"val_{name}": value for name, value in self._scores(found).items()}

    def _as_keras(self) -> dict[str, Any]:
        """Return the `outputs`, the loss and the compiled metrics."""
        from studies.training.tensorflow_validation import validation_step

        step = validation_step(self.model)
        self.model.reset_metrics()
        outputs, losses = [], []
        for images, targets in self._batches():
            answers, loss = step(images, targets)
            outputs.append(answers.numpy())
            losses.append(float(loss))
        loss = np.average(losses, weights=[len(each) for each in outputs])
        numbers = {**self.model.get_metrics_result(), "loss": loss}
        found = {name: float(value) for name, value in numbers.items() if np.size(value) == 1}
        return {**found, "outputs": np.concatenate(outputs)}

    def _outputs(self) -> np.ndarray:
        return np.concatenate([self.model.predict_on_batch(images) for images, *_ in self._batches()])

    def _batches(self) -> Iterator[Any]:
        """Yield the batches until a stop is requested."""
        for batch in _items(self._data):
            yield batch
            self._stop.check()
            if self._stop.stopped:
                return

    def _scores(self, outputs: np.ndarray) -> dict[str, float]:
        names = [name for name in SCORES if len(self._classes) >= MIN_CLASSES.get(name, 2)]
        if not np.isfinite(outputs).all():
            return dict.fromkeys(names, math.nan)
        scores = compute_scores(probabilities_of(self.model, outputs), self._labels[: len(outputs)], self._classes)
        found = {name: getattr(scores, name) for name in names}
        return {name: math.nan if value is None else value for name, value in found.items()}


def validation_batch(image_shape: tuple[int, ...], batch_size: int, images: int) -> int:
    """Return the batch size of a validation: large for small images, at least that of training."""
    fitting = min(_VALUES_PER_BATCH // math.prod(image_shape), _LARGEST_BATCH)
    return min(max(batch_size, fitting), images)


def validates_itself(model: keras.Model) -> bool:
    """Return True if only Keras can compute the loss: the model has custom steps or runs on another backend."""
    own = any(getattr(type(model), name) is not getattr(keras.Model, name) for name in _STEPS)
    return own or keras.backend.backend() != "tensorflow"


_STEPS = ("test_step", "compute_loss", "compute_metrics")


def _items(data: Any) -> Iterator[Any]:
    if isinstance(data, keras.utils.PyDataset):
        return (data[index] for index in range(len(data)))
    return iter(data)
