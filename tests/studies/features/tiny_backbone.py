"""A recipe with a small frozen backbone, and images of two classes."""

import numpy as np

from spaces import Augment, Constant, Digits, Pretrained, Space
from studies.data.dataset import Dataset, Split

SIDE = 32
BACKBONE = Pretrained("MobileNet", alpha=0.25, weights="tiny.weights.h5", dense_units=8)
RECIPE = Space(
    data=Digits(),
    backbone=BACKBONE,
    augment=None,
    dropout=0.1,
    learning_rate=0.01,
    batch_size=16,
    schedule=Constant(),
    epochs=4,
)
VIEWS = Augment(flip="horizontal", rotation=0.2, cached_views=2)


def split(images: int, seed: int) -> Split:
    """Noise of which the second class is brighter."""
    rng = np.random.default_rng(seed)
    labels = np.arange(images, dtype=np.int64) % 2
    pixels = rng.integers(0, 30, (images, SIDE, SIDE, 3)) + 200 * labels[:, None, None, None]
    return Split(pixels.astype(np.uint8), labels)


def dataset() -> Dataset:
    """A new one each time, always with the same images."""
    return Dataset(split(70, 0), split(20, 1), split(20, 2), ("dark", "bright"))
