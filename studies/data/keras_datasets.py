"""Load the image data sets of `keras.datasets`, with the names of their classes."""

import contextlib
import io
import logging
from pathlib import Path
from typing import Any

from spaces.data import KerasDataset
from spaces.errors import DataError
from studies.backend.keras_backend import keras_home, require_backend
from studies.data.arrays import dataset_from_arrays
from studies.data.dataset import Dataset

_TENSORFLOW = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
_TORONTO = "https://www.cs.toronto.edu/~kriz/"
_FASHION = "train-labels-idx1-ubyte.gz train-images-idx3-ubyte.gz t10k-labels-idx1-ubyte.gz t10k-images-idx3-ubyte.gz"

# The local name of each file, and the URL that Keras downloads it from.
_SOURCES = {
    "mnist": {"mnist.npz": f"{_TENSORFLOW}mnist.npz"},
    "fashion_mnist": {f"fashion-mnist/{name}": _TENSORFLOW + name for name in _FASHION.split()},
    "cifar10": {"cifar-10-batches-py-target_archive": f"{_TORONTO}cifar-10-python.tar.gz"},
    "cifar100": {"cifar-100-python-target_archive": f"{_TORONTO}cifar-100-python.tar.gz"},
}

_FASHION_MNIST = "T-shirt/top, Trouser, Pullover, Dress, Coat, Sandal, Shirt, Sneaker, Bag, Ankle boot"
_CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck"
_CIFAR100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
willow_tree wolf woman worm
"""
_CLASSES = {
    "mnist": tuple("0123456789"),
    "fashion_mnist": tuple(_FASHION_MNIST.split(", ")),
    "cifar10": tuple(_CIFAR10.split()),
    "cifar100": tuple(_CIFAR100.split()),
}

logger = logging.getLogger(__name__)


def load_keras_dataset(data: KerasDataset) -> Dataset:
    """Load one of Keras' image data sets, downloaded once into Keras' own folder (KERAS_HOME).

    Raises:
        DataError: The data set cannot be downloaded or read.
    """
    train, test = _load(data.name)
    classes = _CLASSES[data.name]
    return dataset_from_arrays(
        {"train": train, "test": test}, data.name, classes=classes, validation=data.validation, test=None
    )


def _load(name: str) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    require_backend()
    import keras

    if not all((_folder() / file).exists() for file in _SOURCES[name]):
        logger.info("downloading %s to %s", name, _folder())
    try:
        # Keras prints its download progress to standard output, which belongs to the command line.
        with contextlib.redirect_stdout(io.StringIO()):
            return getattr(keras.datasets, name).load_data()  # type: ignore[no-any-return]
    except Exception as error:  # Keras raises no narrower class if a download fails
        raise DataError(_unavailable_message(name, error)) from error


def _unavailable_message(name: str, error: Exception) -> str:
    files = "".join(f"\n  {url}\n    as {_folder() / file}" for file, url in _SOURCES[name].items())
    return f"{name} cannot be downloaded or read ({error})\nhint: download these files yourself:{files}"


def _folder() -> Path:
    return keras_home() / "datasets"
