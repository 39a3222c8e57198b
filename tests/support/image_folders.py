"""Load the image folders that tests write."""

from pathlib import Path

import pytest

from spaces import ImageFolder
from spaces.errors import DataError
from studies.data.dataset import Dataset, Split
from studies.data.sources import load
from studies.images.parallel_decode import ProgressCallback


def load_folder(
    folder: Path, *, cache_folder: Path | None = None, progress: ProgressCallback | None = None, **settings: object
) -> Dataset:
    """Load an image folder with settings of `ImageFolder`."""
    return load(ImageFolder(str(folder), **settings), Path("/nowhere"), cache=cache_folder, progress=progress)


def folder_error(folder: Path, **settings: object) -> str:
    """Return the message of the `DataError` that loading a folder raises."""
    with pytest.raises(DataError) as caught:
        load_folder(folder, **settings)
    return str(caught.value)


def split_sizes(data: Dataset) -> list[int]:
    """Return the number of images for training, validation and test."""
    return [len(split) for split in (data.train, data.validation, data.test)]


def image_bytes(split: Split) -> list[bytes]:
    """Return the pixels of each image."""
    return [image.tobytes() for image in split.images]


def all_bytes(data: Dataset) -> list[bytes]:
    """Return the pixels of all images in the order in which they are stored."""
    return [pixels for split in (data.test, data.validation, data.train) for pixels in image_bytes(split)]
