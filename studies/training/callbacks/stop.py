"""Ends training between two steps on request."""

from collections.abc import Callable
from typing import Any

import keras


class StopOnRequest(keras.callbacks.Callback):  # type: ignore[misc]
    """Ends `fit`, and the validation inside it, after the current step.

    Args:
        requested: Returns True to end.
        on_steps: Called with the model and the number of steps done in the epoch.
    """

    def __init__(
        self, requested: Callable[[], bool], on_steps: Callable[[Any, int], None] = lambda model, steps: None
    ) -> None:
        super().__init__()
        self._requested, self._on_steps = requested, on_steps
        self.stopped = False
        self.has_trained = False

    def check(self) -> None:
        """End if requested."""
        if self.stopped or self._requested():
            self.stopped = True
            self.model.stop_training = True
            self.model.stop_evaluating = True

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Check after each step."""
        self.has_trained = True
        self._on_steps(self.model, batch + 1)
        self.check()

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Check after each step of the validation."""
        self.check()
