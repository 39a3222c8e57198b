"""Ends training between two steps when somebody asks for it."""

from collections.abc import Callable
from typing import Any

import keras


class StopOnRequest(keras.callbacks.Callback):  # type: ignore[misc]
    """Ends `fit`, and the validation inside it, as soon as the running step is over.

    Args:
        requested: Says whether to end.
    """

    def __init__(self, requested: Callable[[], bool]) -> None:
        super().__init__()
        self._requested = requested
        self.stopped = False

    def look(self) -> None:
        """End if somebody asks for it."""
        if self.stopped or self._requested():
            self.stopped = True
            self.model.stop_training = True
            self.model.stop_evaluating = True

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Look after each step."""
        self.look()

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Look after each step of the evaluation."""
        self.look()
