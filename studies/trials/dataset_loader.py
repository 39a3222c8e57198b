"""Loads the images of a run once for each recipe's data, and stops loading when the run must stop."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spaces.space import Recipe
from studies.data.dataset import Dataset
from studies.data.sources import load
from studies.events import RunListener
from studies.stop_request import StopRequest


@dataclass
class DatasetLoader:
    """Loads the images of each recipe's data once.

    Args:
        folder: Folder where relative paths start.
        listener: Notified of the progress.
        stop: Says when to stop, by a `KeyboardInterrupt`.
    """

    folder: Path
    listener: RunListener
    stop: StopRequest
    _done: tuple[int, int] | None = field(default=None, init=False)
    _loaded: dict[Any, Dataset] = field(default_factory=dict)

    def __call__(self, recipe: Recipe) -> Dataset:
        if recipe.data not in self._loaded:
            self._loaded[recipe.data] = load(recipe.data, self.folder, progress=self._progress)
            self._done = None
        return self._loaded[recipe.data]

    def state(self) -> str:
        """Return how far the loading is, in words."""
        if self._done is None:
            return "while the images were read"
        return f"while the images were decoded, {self._done[0]:,} of {self._done[1]:,}"

    def _progress(self, done: int, total: int) -> None:
        self._done = done, total
        if self.stop():
            raise KeyboardInterrupt
        self.listener.on_data_progress(done, total)

    def features_progress(self, done: int, total: int) -> None:
        """Show the progress of features, or stop computing them."""
        if self.stop():
            raise KeyboardInterrupt
        self.listener.on_features_progress(done, total)
