"""Load any source of images as three splits, decoded once and cached."""

from collections.abc import Callable, Mapping
from pathlib import Path

from spaces.data import CustomData, Digits, ImageFolder, KerasDataset, Npz
from spaces.errors import DataError
from spaces.records import Record
from spaces.registry import look_up
from studies.data.custom import load_custom
from studies.data.dataset import Dataset
from studies.data.digits import load_digits
from studies.data.image_folder import load_image_folder
from studies.data.keras_datasets import load_keras_dataset
from studies.data.npz import load_npz
from studies.images.parallel_decode import ProgressCallback


def load(data: Record, folder: Path, *, cache: Path | None = None, progress: ProgressCallback | None = None) -> Dataset:
    """Load the three splits of a data source, which are always the same.

    Args:
        data: Record of `spaces.data` with resolved parameters.
        folder: Folder that relative paths start from: that of the space file.
        cache: Cache folder; None for SEARCH_CACHE or the user's cache folder.
        progress: Callback with the number of decoded files and the total, called at most 20 times a second.

    Raises:
        DataError: The images or labels cannot be used.
        OutputError: There is neither a usable cache folder nor enough memory.
    """
    read = look_up(SOURCES, type(data), "data", DataError)
    dataset = read(data, folder, cache, progress)
    for use, split in (("training", dataset.train), ("validation", dataset.validation), ("test", dataset.test)):
        if missing := [name for name, count in split.counts(dataset.classes).items() if not count]:
            raise DataError(f"no images of class {missing[0]!r} left for {use}\nhint: add images, or split off fewer")
    return dataset


SOURCES: Mapping[type[Record], Callable[..., Dataset]] = {
    ImageFolder: load_image_folder,
    Digits: lambda data, *_: load_digits(data),
    Npz: lambda data, folder, *_: load_npz(data, folder),
    KerasDataset: lambda data, *_: load_keras_dataset(data),
    CustomData: lambda data, *_: load_custom(data),
}
"""Loaders by record; each is called with the record, the folder, the cache folder and the progress callback."""
