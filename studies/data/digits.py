"""Load scikit-learn's handwritten digits, which need no network."""

import numpy as np

from spaces.data import Digits
from studies.data.arrays import dataset_from_arrays
from studies.data.dataset import Dataset


def load_digits(data: Digits) -> Dataset:
    """Load the splits of 1,797 digits of 8 x 8 grey pixels, with their 17 levels scaled to 0 to 255."""
    from sklearn.datasets import load_digits as scikit_digits

    found = scikit_digits()
    images = np.rint(found.images * (255 / 16)).astype(np.uint8)
    return dataset_from_arrays({"train": (images, found.target)}, "digits", validation=data.validation, test=data.test)
