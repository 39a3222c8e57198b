"""Measures every score of the validation images, for a search that aims at more than accuracy and loss."""

import math
from typing import Any

import keras
import numpy as np

from studies.callbacks.stop import StopOnRequest
from studies.evaluation import SCORES, evaluate
from studies.models.outputs import gives_logits


class Validation(keras.callbacks.Callback):  # type: ignore[misc]
    """Adds `val_loss`, `val_accuracy`, `val_auc` and so on to an epoch's metrics, from one pass over the images.

    It stands in place of Keras' own validation, before the callbacks that look at the metrics.

    Args:
        data: Every validation image once, in order, in batches.
        labels: Their classes (n,).
        classes: Number of classes.
        stop: The callback that cuts epochs short.
    """

    def __init__(self, data: Any, labels: np.ndarray, classes: int, stop: StopOnRequest) -> None:
        super().__init__()
        self._data, self._labels, self._stop = data, labels, stop
        self._classes = [str(index) for index in range(classes)]

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Measure, unless an end is asked for meanwhile."""
        if self._stop.stopped:
            return
        outputs = self.model.predict(self._data, verbose=0, callbacks=[self._stop])
        if not self._stop.stopped:
            logs.update(self._measured(outputs))

    def _measured(self, outputs: np.ndarray) -> dict[str, float]:
        names = [name for name in SCORES if name != "top_5_accuracy" or len(self._classes) > 5]
        if not np.isfinite(outputs).all():
            return {f"val_{name}": math.nan for name in names}
        scores = evaluate(self._probabilities(outputs), self._labels, self._classes)
        found = {name: getattr(scores, name) for name in names}
        # Keras' own loss, with what the layers add to it.
        found["loss"] = float(self.model.compute_loss(y=self._labels, y_pred=outputs, training=False))
        return {f"val_{name}": math.nan if value is None else value for name, value in found.items()}

    def _probabilities(self, outputs: np.ndarray) -> np.ndarray:
        if not gives_logits(self.model):
            return outputs
        final = keras.ops.sigmoid if outputs.shape[1] == 1 else keras.ops.softmax
        return np.asarray(keras.ops.convert_to_numpy(final(outputs)))
