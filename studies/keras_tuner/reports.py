"""The one callback that a hypermodel's `fit` is given: it holds all of ours, so that each sees the same metrics."""

from collections.abc import Callable, Sequence
from typing import Any

import keras


class Reports(keras.callbacks.Callback):  # type: ignore[misc]
    """Passes every event on to other callbacks, in order.

    A `fit` of the user's own may call callbacks one by one, each with metrics of its own; here they share them.

    Args:
        callbacks: The callbacks.
        phases: Epochs of the first call of `model.fit`, and of all later ones together, after which training ends
            whatever the hypermodel wants; None for no limit.
    """

    def __init__(self, callbacks: Sequence[keras.callbacks.Callback], phases: tuple[int, int] | None = None) -> None:
        super().__init__()
        self._callbacks, self._phases, self._done = tuple(callbacks), phases, 0
        self._fits = 0
        self._weights: list[Any] = []
        self.first_fit: int | None = None
        """Epochs of the first call of `model.fit`, once there is a second."""
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

    def on_train_begin(self, logs: Any = None) -> None:
        """Count the calls of `model.fit`."""
        self._fits += 1
        if self._fits == 2:
            self.first_fit = self._done

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Hand on the beginning of an epoch."""
        # Counted here: a `fit` that trains twice, to fine-tune, counts from 0 twice.
        self._each(lambda callback: callback.on_epoch_begin(max(epoch, self._done)))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Hand on the metrics of an epoch."""
        if self._is_over:
            self.model.stop_training = True
            return
        metrics = {} if logs is None else logs
        number = max(epoch, self._done)
        self._each(lambda callback: callback.on_epoch_end(number, metrics))
        self._done = number + 1
        if self._is_over:
            self._weights = self.model.get_weights()
        if self._is_over or self._first_is_over:
            self.model.stop_training = True

    def restore(self) -> None:
        """Give the model the weights of the last epoch that counts: a hypermodel may have gone on."""
        if self._weights:
            self.model.set_weights(self._weights)

    @property
    def _is_over(self) -> bool:
        return self._phases is not None and self._done >= sum(self._phases)

    @property
    def _first_is_over(self) -> bool:
        return self._phases is not None and self._fits == 1 and self._done >= self._phases[0]

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Hand on the end of a step."""
        if self._is_over:
            self.model.stop_training = True
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
