"""Reports the metrics of every whole epoch, and ends training on request."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras

from studies.training.callbacks.stop import StopOnRequest


class EpochReporter(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the history and calls back after each epoch; an interrupted epoch does not count.

    Args:
        on_epoch: Called with the epoch, counted from 1, and its metrics; returns True to continue.
        begin_epoch: Called with the epoch, counted from 0, before it begins.
        stop: Callback that interrupts epochs.
        is_last_phase: No second phase follows, so that the last epoch ends the training in any case.
    """

    def __init__(
        self,
        on_epoch: Callable[[int, Mapping[str, float]], bool],
        begin_epoch: Callable[[int], None],
        stop: StopOnRequest,
        *,
        is_last_phase: bool = True,
    ) -> None:
        super().__init__()
        self.is_last_phase = is_last_phase
        self._on_epoch, self._begin_epoch, self._stop = on_epoch, begin_epoch, stop
        self.history: list[dict[str, float]] = []
        self.refused = False
        self.diverged = False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Shuffle the images."""
        self._begin_epoch(epoch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Record and report the metrics."""
        if self._stop.stopped:
            return
        metrics = {name: float(value) for name, value in (logs or {}).items()}
        self.history.append(metrics)
        self.diverged = not math.isfinite(metrics.get("loss", 0.0)) or not math.isfinite(metrics.get("val_loss", 0.0))
        is_last_epoch = self.model.stop_training or epoch + 1 == self.params["epochs"]
        ended_by_itself = self.is_last_phase and is_last_epoch
        self.refused = not self._on_epoch(epoch + 1, metrics) and not ended_by_itself
        if self.diverged or self.refused:
            self.model.stop_training = True
