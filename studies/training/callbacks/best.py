"""Keeps the weights of the best epoch, and stops early without a better one."""

import math
from collections.abc import Mapping
from typing import Any

import keras

from studies.training.callbacks.epochs import EpochReporter
from studies.training.callbacks.stop import StopOnRequest
from studies.training.result import EndReason

_STATE = ("epoch", "value", "loss", "out_of_patience", "improved_at")


class BestEpoch(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the best epoch and its weights; an interrupted epoch does not count.

    Of epochs with equal metrics, common with few validation images, the one with the lowest loss is the best.

    Args:
        metric: Metric to compare, such as `val_accuracy`.
        direction: `maximize` or `minimize`.
        patience: Number of epochs without a better metric after which a phase ends; None for no limit.
        stop: Callback that interrupts epochs.
    """

    def __init__(self, metric: str, direction: str, patience: int | None, stop: StopOnRequest) -> None:
        super().__init__()
        self._metric, self._sign = metric, 1.0 if direction == "maximize" else -1.0
        self._patience, self._stop = patience, stop
        self.epoch: int | None = None
        self.value = math.nan
        self.loss = math.nan
        self.out_of_patience = False
        self.weights: list[Any] = []
        self.improved_at = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Compare the epoch with the best so far."""
        if self._stop.stopped:
            return
        value, loss = float(logs[self._metric]), float(logs["val_loss"])
        better = math.isfinite(value) and (self.epoch is None or self._sign * (value - self.value) > 0)
        if better:
            self.improved_at = epoch + 1
        if better or (value == self.value and loss < self.loss):
            self.epoch, self.value, self.loss, self.weights = epoch + 1, value, loss, self.model.get_weights()
        elif self._patience is not None and epoch + 1 - self.improved_at >= self._patience:
            self.out_of_patience = True
            self.model.stop_training = True

    def begin_phase(self, epoch: int) -> None:
        """Start another phase after an epoch, from the best weights so far, with new patience."""
        self.restore()
        self.out_of_patience = False
        self.improved_at = epoch

    @property
    def state(self) -> dict[str, Any]:
        """All but the weights, as JSON."""
        return {name: getattr(self, name) for name in _STATE}

    @state.setter
    def state(self, state: Mapping[str, Any]) -> None:
        for name in _STATE:
            setattr(self, name, state[name])

    def restore(self) -> None:
        """Give the model the weights of its best epoch."""
        if self.weights:
            self.model.set_weights(self.weights)


def end_reason(stopping: StopOnRequest, ending: EpochReporter, best: BestEpoch) -> EndReason:
    """Return why a training with these callbacks ended."""
    if stopping.stopped:
        return EndReason.STOPPED
    if ending.diverged:
        return EndReason.DIVERGED
    if ending.refused:
        return EndReason.PRUNED
    return EndReason.EARLY_STOPPED if best.out_of_patience else EndReason.FINISHED
