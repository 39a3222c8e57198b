"""Scikit-learn's handwritten digits, which need no network."""

import numpy as np

from spaces.data import Digits
from studies.data.arrays import dataset_of
from studies.data.dataset import Dataset


def load_digits(data: Digits) -> Dataset:
    """The splits of 1,797 digits of 8 x 8 grey pixels; their 17 levels are spread over 0 to 255."""
    from sklearn.datasets import load_digits as scikit_digits

    found = scikit_digits()
    images = np.rint(found.images * (255 / 16)).astype(np.uint8)
    return dataset_of({"train": (images, found.target)}, "digits", validation=data.validation, test=data.test)
