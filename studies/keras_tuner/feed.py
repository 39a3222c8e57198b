"""Images and labels as a hypermodel expects them: pixels from 0 to 1, labels as its loss takes them."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from studies.data import Split


@dataclass(frozen=True)
class Form:
    """How images and labels are given.

    Args:
        rescale: Pixels are divided by 255.
        one_hot: Number of columns of the labels, or 0 for the classes' numbers.
    """

    rescale: bool
    one_hot: int

    def arrays(self, split: Split) -> tuple[np.ndarray, np.ndarray]:
        """All images (n, height, width, channels) float32, and labels (n,) or (n, classes)."""
        images = np.asarray(split.images, np.float32)
        if self.rescale:
            images /= 255
        labels = np.eye(self.one_hot, dtype=np.float32)[split.labels] if self.one_hot else split.labels
        return images, labels

    def batches(self, batches: Any) -> Any:
        """Batches of raw images and class numbers, changed to this form."""
        if isinstance(batches, keras.utils.PyDataset):
            return _Formed(batches, self)
        return batches.map(self.batch)

    def batch(self, images: Any, labels: Any, *weights: Any) -> tuple[Any, ...]:
        """One batch; weights stay as they are."""
        images = keras.ops.cast(images, "float32")
        if self.rescale:
            images = images / 255
        return images, keras.ops.one_hot(labels, self.one_hot) if self.one_hot else labels, *weights


class _Formed(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of another data set, changed to a form."""

    def __init__(self, batches: keras.utils.PyDataset, form: Form) -> None:
        super().__init__()
        self._batches, self._form = batches, form

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        changed = self._form.batch(*self._batches[index])
        return tuple(np.asarray(keras.ops.convert_to_numpy(each)) for each in changed)


def one_hot_columns(loss: Any, outputs: int) -> int:
    """How many columns the labels have for a loss: none for one output or a loss called `sparse`.

    Args:
        loss: What `compile` was given: a name, a function, or a `keras.losses.Loss`.
        outputs: Outputs of the network.
    """
    name = loss if isinstance(loss, str) else getattr(loss, "__name__", None) or type(loss).__name__
    return 0 if outputs == 1 or "sparse" in str(name).lower() else outputs
