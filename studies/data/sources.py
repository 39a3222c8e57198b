"""The sources of images: each ends in three splits, decoded once and cached."""

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
    """The three splits of a data source; the same ones every time.

    Args:
        data: A record of `spaces.data` whose parameters are resolved.
        folder: Where relative paths start: the folder of the space file.
        cache: Where decoded images are kept; None takes SEARCH_CACHE, else the user's cache folder.
        progress: Called with the files decoded and the files in all, at most 20 times a second.

    Raises:
        DataError: The images or labels cannot be used.
        OutputError: There is neither a usable cache folder nor enough memory.
    """
    read = look_up(SOURCES, type(data), "data", DataError)
    dataset = read(data, folder, cache, progress)
    for part, split in (("training", dataset.train), ("validation", dataset.validation), ("test", dataset.test)):
        if without := [name for name, count in split.counts(dataset.classes).items() if not count]:
            raise DataError(f"No image of class {without[0]!r} is left for {part}: add images, or split off less.")
    return dataset


SOURCES: Mapping[type[Record], Callable[..., Dataset]] = {
    ImageFolder: load_image_folder,
    Digits: lambda data, *_: load_digits(data),
    Npz: lambda data, folder, *_: load_npz(data, folder),
    KerasDataset: lambda data, *_: load_keras_dataset(data),
    CustomData: lambda data, *_: load_custom(data),
}
"""The sources by their records, each called with the record, its folder, the cache folder and the progress callback."""
