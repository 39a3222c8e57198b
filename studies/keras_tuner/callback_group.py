"""The single callback passed to a hypermodel's `fit`: it holds all of ours, so that they share the metrics."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from studies.training.callbacks.epochs import EpochReporter
from studies.training.callbacks.stop import StopOnRequest


class FitEnded(KeyboardInterrupt):
    """End of a training loop that ignored `stop_training`; `except Exception` does not catch it."""


class CallbackGroup(keras.callbacks.Callback):  # type: ignore[misc]
    """Forward the events of one network's training to other callbacks, in order.

    A custom `fit` may call callbacks one by one, each with its own metrics dict; in the group they share one. It may
    also train other models with them, such as one per fold; their epochs do not count, and only a stop request reaches
    them. Training a model that contains the network, such as one that augments images first, trains the network.

    Args:
        network: Network of the trial.
        stopping: Callback that ends the training of any model on request.
        callbacks: Callbacks for the network.
        ending: The callback among them that records whether training ended early.
        epochs: Number of epochs, unless `fit` sets its own.
        phases: Epochs of the first call of `model.fit` and of all later calls together, after which training ends;
            None for no limit.
        on_total: Called with the number of epochs when it changes.
    """

    def __init__(
        self,
        network: keras.Model,
        stopping: StopOnRequest,
        callbacks: Sequence[keras.callbacks.Callback],
        ending: EpochReporter,
        *,
        epochs: int,
        phases: tuple[int, int] | None = None,
        on_total: Callable[[int], None] = lambda epochs: None,
    ) -> None:
        super().__init__()
        self._network, self._stopping, self._ending = network, stopping, ending
        self._callbacks, self._phases, self._on_total = tuple(callbacks), phases, on_total
        self._done = self._fits = 0
        self._epochs = self._total = epochs
        self._is_counted = self._is_network = True
        self._weights: list[Any] = []
        self.first_fit: int | None = None
        """Epochs of the first call of `model.fit`, once there is a second."""
        self.failure: Exception | None = None
        """Error of one of the callbacks, which is not the hypermodel's."""
        self._steps_after_stop = self._epochs_after_stop = 0
        self.is_used = False
        """Whether the network's training has called these callbacks."""
        for callback in self._callbacks:
            callback.set_model(network)
        self.set_model(network)
        self._set_total(epochs)

    def __deepcopy__(self, memo: Any) -> "CallbackGroup":
        # KerasTuner's users copy the callbacks for each model that they train.
        return self

    def set_model(self, model: Any) -> None:
        """Set the model to train: the network, one that contains it, or another one."""
        super().set_model(model)
        self._is_network = _contains(model, self._network)
        self._is_counted = False
        self._stopping.set_model(model)

    def set_params(self, params: Any) -> None:
        """Set the number of epochs of a call of `model.fit`; a custom loop may pass none."""
        super().set_params({**(self.params or {}), **(params or {})})
        self._epochs = self.params.get("epochs") or self._epochs

    def on_train_begin(self, logs: Any = None) -> None:
        """Count the calls of `model.fit`."""
        self._is_counted = False
        self._steps_after_stop = self._epochs_after_stop = 0
        if not self._is_network:
            return
        self._network.stop_training = False
        self._fits += 1
        if self._fits == 2:
            self.first_fit = self._done

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Forward the start of an epoch."""
        if not self._is_network or self._is_over:
            return
        if not self._is_counted:
            # A `fit` that trains twice, to fine-tune, may start at epoch 0 twice.
            self._is_counted = True
            self._set_total(self._done + max(1, self._epochs - epoch))
        self._call_all(lambda callback: callback.on_epoch_begin(self._done))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Forward the metrics of an epoch."""
        if not self._is_network:
            return
        if self._epochs_after_stop:
            raise FitEnded
        self.is_used = True
        if self._is_over:
            self._end()
            return
        metrics = {} if logs is None else logs
        if self._done >= self._total:
            self._set_total(self._done + 1)
        if self.model.stop_training:
            self._network.stop_training = True
        self._call_all(lambda callback: callback.on_epoch_end(self._done, metrics))
        self._done += 1
        if self._done < self._total:
            # A custom loop may report no steps.
            self._stopping.check()
        self._epochs_after_stop += self._stopping.stopped
        if self._is_replayed:
            self._weights = self._network.get_weights()
        if self._is_over or self._is_first_fit_over or self._network.stop_training:
            self._end()

    def record_single_epoch(self, metrics: dict[str, float]) -> None:
        """Record the training of a `fit` that reported nothing as one epoch."""
        self.set_model(self._network)
        self._set_total(1)
        self.on_epoch_end(0, metrics)
        self.is_used = False

    def restore(self) -> None:
        """Restore the weights of the last epoch that counts: the hypermodel may have trained on."""
        if self._weights:
            self._network.set_weights(self._weights)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Forward the end of a training step."""
        self._steps_after_stop += self._stopping.stopped
        if self._steps_after_stop > 1:
            raise FitEnded
        if self._is_network and self._is_over:
            self._end()
        self._call(self._active_callbacks, lambda callback: callback.on_train_batch_end(batch, logs))

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Forward the end of an evaluation step."""
        self._call(self._active_callbacks, lambda callback: callback.on_test_batch_end(batch, logs))

    @property
    def has_epochs(self) -> bool:
        """Return True if the network was trained with these callbacks for at least one epoch."""
        return self._done > 0

    @property
    def _active_callbacks(self) -> Sequence[keras.callbacks.Callback]:
        """Return the callbacks for the model in training."""
        return self._callbacks if self._is_network else (self._stopping,)

    @property
    def _is_replayed(self) -> bool:
        """Return True if a retraining has repeated all epochs of the trial."""
        return self._phases is not None and self._done >= sum(self._phases)

    @property
    def _is_over(self) -> bool:
        return self._is_replayed or self._ending.refused or self._ending.diverged

    @property
    def _is_first_fit_over(self) -> bool:
        return self._phases is not None and self._fits == 1 and self._done >= self._phases[0]

    def _end(self) -> None:
        self.model.stop_training = self._network.stop_training = True

    def _set_total(self, epochs: int) -> None:
        for callback in self._callbacks:
            callback.set_params({**(self.params or {}), "epochs": epochs})
        if epochs != self._total:
            self._total = epochs
            self._on_total(epochs)

    def _call_all(self, event: Callable[[Any], None]) -> None:
        self._call(self._callbacks, event)

    def _call(self, callbacks: Sequence[keras.callbacks.Callback], event: Callable[[Any], None]) -> None:
        try:
            for callback in callbacks:
                event(callback)
        except Exception as error:
            self.failure = error
            raise


def _contains(model: Any, network: keras.Model) -> bool:
    """Return True if training the model trains the network: it is the network, or holds its variables."""
    if model is network:
        return True
    variables = {id(variable) for variable in network.variables}
    return bool(variables) and variables <= {id(variable) for variable in getattr(model, "variables", ())}
