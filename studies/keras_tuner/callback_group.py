"""The one callback that a hypermodel's `fit` is given: it holds all of ours, so that each sees the same metrics."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from studies.training.callbacks.epochs import EpochReporter
from studies.training.callbacks.stop import StopOnRequest


class FitEnded(KeyboardInterrupt):
    """Ends a training loop that ignored `stop_training`. Loops that catch `Exception` do not catch it."""


class CallbackGroup(keras.callbacks.Callback):  # type: ignore[misc]
    """Passes the events of one network's training on to other callbacks, in order.

    A `fit` of the user's own may call callbacks one by one, each with metrics of its own; here they share them. It may
    train other models with them too, such as one for each fold: their epochs are not those of the network, and only a
    request to stop reaches them. A model that contains the network, such as one with augmentation before it, trains it.

    Args:
        network: The network that the trial trains.
        stopping: Ends training on request, whichever model is trained.
        callbacks: The callbacks for the network.
        ending: The one among them that says whether training has ended early.
        epochs: Epochs that the network is trained for, unless `fit` sets a number of its own.
        phases: Epochs of the first call of `model.fit`, and of all later ones together, after which training ends
            whatever the hypermodel wants; None for no limit.
        on_total: Called with the number of epochs whenever it changes.
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
        """What went wrong in one of them, which is no fault of the hypermodel."""
        self._steps_after_stop = self._epochs_after_stop = 0
        self.is_used = False
        """Whether the network's training has called this."""
        for callback in self._callbacks:
            callback.set_model(network)
        self.set_model(network)
        self._tell_total(epochs)

    def __deepcopy__(self, memo: Any) -> "CallbackGroup":
        # KerasTuner's users copy callbacks for each model that they train.
        return self

    def set_model(self, model: Any) -> None:
        """Begin with a model: the network, one that contains it, or another one."""
        super().set_model(model)
        self._is_network = _contains(model, self._network)
        self._is_counted = False
        self._stopping.set_model(model)

    def set_params(self, params: Any) -> None:
        """Take the epochs of a call of `model.fit`; a loop of the user's own may know none."""
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
        """Hand on the beginning of an epoch."""
        if not self._is_network or self._is_over:
            return
        if not self._is_counted:
            # A `fit` that trains twice, to fine-tune, may count from 0 twice.
            self._is_counted = True
            self._tell_total(self._done + max(1, self._epochs - epoch))
        self._each(lambda callback: callback.on_epoch_begin(self._done))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Hand on the metrics of an epoch."""
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
            self._tell_total(self._done + 1)
        if self.model.stop_training:
            self._network.stop_training = True
        self._each(lambda callback: callback.on_epoch_end(self._done, metrics))
        self._done += 1
        if self._done < self._total:
            # A loop of the user's own may tell of no steps.
            self._stopping.check()
        self._epochs_after_stop += self._stopping.stopped
        if self._is_repeated:
            self._weights = self._network.get_weights()
        if self._is_over or self._first_is_over or self._network.stop_training:
            self._end()

    def only_epoch(self, metrics: dict[str, float]) -> None:
        """Count the training of a `fit` that has reported nothing as a single epoch."""
        self.set_model(self._network)
        self._tell_total(1)
        self.on_epoch_end(0, metrics)
        self.is_used = False

    def restore(self) -> None:
        """Give the network the weights of the last epoch that counts: a hypermodel may have gone on."""
        if self._weights:
            self._network.set_weights(self._weights)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Hand on the end of a step."""
        self._steps_after_stop += self._stopping.stopped
        if self._steps_after_stop > 1:
            raise FitEnded
        if self._is_network and self._is_over:
            self._end()
        self._on(self._reached, lambda callback: callback.on_train_batch_end(batch, logs))

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Hand on the end of a step of the evaluation."""
        self._on(self._reached, lambda callback: callback.on_test_batch_end(batch, logs))

    @property
    def has_counted(self) -> bool:
        """Whether the network was trained with these callbacks, for one epoch at least."""
        return self._done > 0

    @property
    def _reached(self) -> Sequence[keras.callbacks.Callback]:
        """The callbacks that the model in training concerns."""
        return self._callbacks if self._is_network else (self._stopping,)

    @property
    def _is_repeated(self) -> bool:
        """Whether all epochs that are to be repeated are done."""
        return self._phases is not None and self._done >= sum(self._phases)

    @property
    def _is_over(self) -> bool:
        return self._is_repeated or self._ending.refused or self._ending.diverged

    @property
    def _first_is_over(self) -> bool:
        return self._phases is not None and self._fits == 1 and self._done >= self._phases[0]

    def _end(self) -> None:
        self.model.stop_training = self._network.stop_training = True

    def _tell_total(self, epochs: int) -> None:
        for callback in self._callbacks:
            callback.set_params({**(self.params or {}), "epochs": epochs})
        if epochs != self._total:
            self._total = epochs
            self._on_total(epochs)

    def _each(self, event: Callable[[Any], None]) -> None:
        self._on(self._callbacks, event)

    def _on(self, callbacks: Sequence[keras.callbacks.Callback], event: Callable[[Any], None]) -> None:
        try:
            for callback in callbacks:
                event(callback)
        except Exception as error:
            self.failure = error
            raise


def _contains(model: Any, network: keras.Model) -> bool:
    """Whether training a model trains the network: it is the network, or holds its variables."""
    if model is network:
        return True
    variables = {id(variable) for variable in network.variables}
    return bool(variables) and variables <= {id(variable) for variable in getattr(model, "variables", ())}
