"""Measures every score of the validation images after each epoch, from one pass over them."""

import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from studies.callbacks.stop import StopOnRequest
from studies.evaluation import SCORES, evaluate
from studies.models.outputs import gives_logits

_VALUES_PER_BATCH, _LARGEST_BATCH = 2**20, 4096


class Validation(keras.callbacks.Callback):  # type: ignore[misc]
    """Adds `val_loss`, `val_accuracy`, `val_auc` and so on to an epoch's metrics.

    It stands in place of Keras' own validation, before the callbacks that look at the metrics: what the model is
    compiled with is measured by Keras' own objects. Metrics that are there already stay as they are.

    Args:
        data: Every validation image once, in order, in batches.
        labels: Their classes (n,).
        classes: Number of classes.
        stop: The callback that cuts epochs short.
        targets: The labels as the model's loss takes them; None for the classes.
    """

    def __init__(
        self, data: Any, labels: np.ndarray, classes: int, stop: StopOnRequest, targets: np.ndarray | None = None
    ) -> None:
        super().__init__()
        self._data, self._labels, self._stop = data, labels, stop
        self._targets = labels if targets is None else targets
        self._classes = [str(index) for index in range(classes)]

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Measure, unless an end is asked for meanwhile."""
        outputs = [] if self._stop.stopped else list(self._outputs())
        if self._stop.stopped:
            return
        for name, value in self._measured(np.concatenate(outputs)).items():
            logs.setdefault(f"val_{name}", value)

    def _outputs(self) -> Iterator[np.ndarray]:
        size = 0
        for batch in _batches(self._data):
            images = np.asarray(batch[0])
            rows, size = len(images), max(size, len(images))
            if rows < size:
                # A last batch of another size would be traced anew.
                images = np.concatenate([images, np.zeros((size - rows, *images.shape[1:]), images.dtype)])
            yield np.asarray(self.model.predict_on_batch(images))[:rows]
            self._stop.look()
            if self._stop.stopped:
                return

    def _measured(self, outputs: np.ndarray) -> dict[str, float]:
        names = [name for name in SCORES if name != "top_5_accuracy" or len(self._classes) > 5]
        if not np.isfinite(outputs).all():
            return dict.fromkeys(names, math.nan)
        scores = evaluate(self._probabilities(outputs), self._labels, self._classes)
        found = {name: getattr(scores, name) for name in names}
        measured = {name: math.nan if value is None else value for name, value in found.items()}
        return {**measured, **self._compiled(outputs)}

    def _compiled(self, outputs: np.ndarray) -> dict[str, float]:
        """What Keras' validation gives: the loss, with what the layers add to it, and the compiled metrics."""
        if self.model.loss is None:
            return {}
        self.model.reset_metrics()
        found = self.model.compute_metrics(None, self._targets, outputs, None)
        loss = self.model.compute_loss(y=self._targets, y_pred=outputs, training=False)
        return {name: float(value) for name, value in {**found, "loss": loss}.items()}

    def _probabilities(self, outputs: np.ndarray) -> np.ndarray:
        if not gives_logits(self.model):
            return outputs
        final = keras.ops.sigmoid if outputs.shape[1] == 1 else keras.ops.softmax
        return np.asarray(keras.ops.convert_to_numpy(final(outputs)))


def validation_batch(image_shape: tuple[int, ...], batch_size: int, images: int) -> int:
    """Images in one batch of a validation: many where they are small, never fewer than in training.

    Args:
        image_shape: (height, width, channels) of an image, or (units,) of its features.
        batch_size: Images in one step of the training.
        images: Images in all.
    """
    fitting = min(_VALUES_PER_BATCH // math.prod(image_shape), _LARGEST_BATCH)
    return min(max(batch_size, fitting), images)


def validates_itself(model: keras.Model) -> bool:
    """Whether only Keras' own validation gives a model's loss: its layers add to it, or it has a step of its own."""
    adds = any(getattr(layer, "_loss_ids", ()) or getattr(layer, "_losses", ()) for layer in model._flatten_layers())
    return adds or type(model).test_step is not keras.Model.test_step


def _batches(data: Any) -> Iterator[Any]:
    if isinstance(data, keras.utils.PyDataset):
        return (data[index] for index in range(len(data)))
    return iter(data)
