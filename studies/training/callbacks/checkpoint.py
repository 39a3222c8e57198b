"""Saves a training after its epochs, and resumes a saved one."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from studies.checkpoints.checkpoint_file import TrainingState
from studies.checkpoints.fold_progress import FoldCheckpoints
from studies.checkpoints.study_checkpoints import TrialCheckpoints
from studies.checkpoints.throttle import Throttle
from studies.training.callbacks.best import BestEpoch
from studies.training.callbacks.epochs import EpochReporter
from studies.training.callbacks.stop import StopOnRequest

MIN_COPY_INTERVAL_FACTOR = 100.0
"""The state of the last epoch is copied, for a stop request, if that takes at most 1% of the time."""

logger = logging.getLogger(__name__)


class CheckpointCallback(keras.callbacks.Callback):  # type: ignore[misc]
    """Saves after whole epochs, once they are reported, and on a stop request.

    It comes after the other callbacks, whose state it saves as well. An interrupted epoch is trained again.
    What a layer draws from generators of its own, such as NumPy's, is not saved; Keras' layers draw from generators
    that are.

    Args:
        checkpoints: Where to save; None saves nothing.
        best: Keeps the best weights.
        ending: Keeps the history.
        stop: Callback that interrupts epochs.
    """

    def __init__(
        self,
        checkpoints: TrialCheckpoints | FoldCheckpoints | None,
        best: BestEpoch,
        ending: EpochReporter,
        stop: StopOnRequest,
    ) -> None:
        super().__init__()
        self._checkpoints, self._best, self._ending, self._stop = checkpoints, best, ending, stop
        self._copying = Throttle(MIN_COPY_INTERVAL_FACTOR)
        self._unsaved: TrainingState | None = None
        self._restored: Mapping[str, np.ndarray] = {}
        self.first_phase = 0, 0
        """Epochs of the first phase that produced its weights, and all of its epochs; zeros while it lasts."""

    def resume(self, model: keras.Model, on_restored: Callable[[Sequence[Mapping[str, float]]], None]) -> None:
        """Restore the history and the best weights of the newest checkpoint, if there is one for this built model.

        `on_restored` is called with the metrics of the epochs that are done.
        """
        snapshot = self._checkpoints.load() if self._checkpoints else None
        if snapshot is None:
            return
        if not _matches(snapshot, model):
            logger.warning("checkpoint does not match the model; restarting training")
            return
        self._restored, state = snapshot.arrays, snapshot.state
        self._ending.history[:] = state["history"]
        self._best.set_model(model)
        self._best.state = state["best"]
        self._best.weights = _best_weights(snapshot, model)
        self.first_phase = state["first_phase"][0], state["first_phase"][1]
        on_restored(tuple(self._ending.history))

    def restore(self, model: keras.Model) -> None:
        """Restore the variables of a compiled model from the checkpoint, the first time."""
        arrays, self._restored = self._restored, {}
        if arrays:
            model.optimizer.build(model.trainable_variables)
            for name, variable in _variables(model).items():
                variable.assign(arrays[name])

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Save if due, else keep a copy if that is cheap."""
        if self._checkpoints is None or self._stop.stopped or self._ending.refused or self._ending.diverged:
            return
        if self._checkpoints.is_due:
            snapshot = self._copy()
            self._checkpoints.save(snapshot, copying_seconds=self._copying.seconds)
            self._unsaved = None
        elif self._copying.is_due:
            self._unsaved = self._copy()

    def on_train_end(self, logs: Any = None) -> None:
        """Save the copy of the last epoch on a stop request, if that is quick."""
        if self._checkpoints and self._unsaved and self._stop.stopped and self._checkpoints.is_quick:
            self._checkpoints.save(self._unsaved)

    def _copy(self) -> TrainingState:
        started = time.monotonic()
        arrays = {name: variable.numpy() for name, variable in _variables(self.model).items()}
        arrays |= _changed(self._best.weights, _current(arrays, self.model))
        history = list(self._ending.history)
        state = {"history": history, "best": self._best.state, "first_phase": self.first_phase}
        self._copying.record_save(time.monotonic() - started)
        return TrainingState(len(history), arrays, state)


def _variables(model: keras.Model) -> dict[str, Any]:
    """Return all that changes in training, by name: weights, statistics, random generators, the optimizer."""
    named = {f"model/{index}": variable for index, variable in enumerate(model.variables)}
    return named | {f"optimizer/{index}": variable for index, variable in enumerate(model.optimizer.variables)}


def _current(arrays: Mapping[str, np.ndarray], model: keras.Model) -> list[np.ndarray]:
    """Return the arrays of `model.get_weights`, which leaves out the random generators."""
    indices = {id(variable): index for index, variable in enumerate(model.variables)}
    return [arrays[f"model/{indices[id(weight)]}"] for weight in model.weights]


def _changed(best: Sequence[np.ndarray], current: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Return the best weights that differ from the last ones: none after a best epoch, and never frozen ones."""
    pairs = zip(best, current, strict=False)
    return {f"best/{index}": one for index, (one, other) in enumerate(pairs) if not _have_equal_bits(one, other)}


def _have_equal_bits(one: np.ndarray, other: np.ndarray) -> bool:
    """Return True if all bits are equal: 0.0 equals -0.0 as a number."""
    return np.array_equal(one.reshape(-1).view(np.uint8), other.reshape(-1).view(np.uint8))


def _best_weights(snapshot: TrainingState, model: keras.Model) -> list[np.ndarray]:
    if snapshot.state["best"]["epoch"] is None:
        return []
    current = _current(snapshot.arrays, model)
    return [snapshot.arrays.get(f"best/{index}", array) for index, array in enumerate(current)]


def _matches(snapshot: TrainingState, model: keras.Model) -> bool:
    """Return True if a checkpoint has the variables of a model."""
    shapes = [array.shape for name, array in snapshot.arrays.items() if name.startswith("model/")]
    return shapes == [tuple(variable.shape) for variable in model.variables]
