"""Converts images and labels to the format that a hypermodel expects: pixels from 0 to 1, labels for its loss."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from studies.data.dataset import Split


@dataclass(frozen=True)
class InputFormat:
    """Format of images and labels.

    Args:
        rescale: Whether pixels are divided by 255.
        one_hot: Number of label columns; 0 for integers (n,), 1 for integers (n, 1).
    """

    rescale: bool
    one_hot: int

    def format_split(self, split: Split) -> tuple[np.ndarray, np.ndarray]:
        """Return all images (n, height, width, channels) float32, and labels (n,) or (n, classes)."""
        images = np.asarray(split.images, np.float32)
        if self.rescale:
            images /= 255
        if self.one_hot > 1:
            return images, np.eye(self.one_hot, dtype=np.float32)[split.labels]
        return images, split.labels[:, None] if self.one_hot else split.labels

    def format_batches(self, batches: Any) -> Any:
        """Return batches of raw images and class numbers in this format."""
        if isinstance(batches, keras.utils.PyDataset):
            return _FormattedBatches(batches, self)
        return batches.map(self.format_batch)

    def format_batch(self, images: Any, labels: Any, *weights: Any) -> tuple[Any, ...]:
        """Return one batch in this format, with unchanged weights."""
        images = keras.ops.cast(images, "float32")
        if self.rescale:
            images = images / 255
        if self.one_hot == 1:
            labels = keras.ops.expand_dims(labels, -1)
        elif self.one_hot:
            labels = keras.ops.one_hot(labels, self.one_hot)
        return images, labels, *weights


class _FormattedBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of another data set in an input format."""

    def __init__(self, batches: keras.utils.PyDataset, form: InputFormat) -> None:
        super().__init__()
        self._batches, self._form = batches, form

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        changed = self._form.format_batch(*self._batches[index])
        return tuple(np.asarray(keras.ops.convert_to_numpy(each)) for each in changed)
