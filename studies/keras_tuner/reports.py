"""The one callback that a hypermodel's `fit` is given: it holds all of ours, so that each sees the same metrics."""

from collections.abc import Callable, Sequence
from typing import Any

import keras


class Reports(keras.callbacks.Callback):  # type: ignore[misc]
    """Passes every event on to other callbacks, in order.

    A `fit` of the user's own may call callbacks one by one, each with metrics of its own; here they share them.

    Args:
        callbacks: The callbacks.
        last_epoch: The epoch, counted from 1, after which training ends whatever `fit` wants; None for no limit.
    """

    def __init__(self, callbacks: Sequence[keras.callbacks.Callback], last_epoch: int | None = None) -> None:
        super().__init__()
        self._callbacks, self._last_epoch, self._done = tuple(callbacks), last_epoch, 0
        self.failure: Exception | None = None
        """What went wrong in one of them, which is no fault of the hypermodel."""

    def set_model(self, model: Any) -> None:
        """Hand on the model."""
        super().set_model(model)
        for callback in self._callbacks:
            callback.set_model(model)

    def set_params(self, params: Any) -> None:
        """Hand on the epochs and steps; a loop of the user's own may know none."""
        super().set_params({**(self.params or {}), **(params or {})})
        for callback in self._callbacks:
            callback.set_params(self.params)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Hand on the beginning of an epoch."""
        # Counted here: a `fit` that trains twice, to fine-tune, counts from 0 twice.
        self._each(lambda callback: callback.on_epoch_begin(max(epoch, self._done)))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Hand on the metrics of an epoch."""
        metrics = {} if logs is None else logs
        number = max(epoch, self._done)
        self._each(lambda callback: callback.on_epoch_end(number, metrics))
        self._done = number + 1
        if self._last_epoch is not None and self._done >= self._last_epoch:
            self.model.stop_training = True

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Hand on the end of a step."""
        self._each(lambda callback: callback.on_train_batch_end(batch, logs))

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Hand on the end of a step of the evaluation."""
        self._each(lambda callback: callback.on_test_batch_end(batch, logs))

    def _each(self, event: Callable[[Any], None]) -> None:
        try:
            for callback in self._callbacks:
                event(callback)
        except Exception as error:
            self.failure = error
            raise
