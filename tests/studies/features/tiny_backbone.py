"""A recipe with a small frozen backbone, and images of two classes."""

from dataclasses import replace

from spaces import Augment, Pretrained
from studies.data.dataset import Dataset
from tests.support.fitting import SMALL, noisy_images

SIDE = 32
BACKBONE = Pretrained("MobileNet", alpha=0.25, weights="tiny.weights.h5", dense_units=8)
RECIPE = replace(SMALL, backbone=BACKBONE, batch_size=16, epochs=4)
VIEWS = Augment(flip="horizontal", rotation=0.2, cached_views=2)


def dataset() -> Dataset:
    """Return a new data set each time, always with the same images, of which the second class is brighter."""
    shape = (SIDE, SIDE, 3)
    splits = (noisy_images(count, seed, shape=shape, noise=30, contrast=200) for seed, count in enumerate((70, 20, 20)))
    return Dataset(*splits, ("dark", "bright"))
