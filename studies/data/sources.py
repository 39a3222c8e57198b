"""The sources of images: each ends in three splits, decoded once and cached."""

from pathlib import Path

from spaces.data import CustomData, Digits, ImageFolder, KerasDataset, Npz
from spaces.errors import DataError
from spaces.records import Record
from studies.data.dataset import Dataset
from studies.data.image_folder import load_image_folder
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
    dataset = _loaded(data, folder, cache, progress)
    for part, split in (("training", dataset.train), ("validation", dataset.validation), ("test", dataset.test)):
        if without := [name for name, count in split.counts(dataset.classes).items() if not count]:
            raise DataError(f"No image of class {without[0]!r} is left for {part}: add images, or split off less.")
    return dataset


def _loaded(data: Record, folder: Path, cache: Path | None, progress: ProgressCallback | None) -> Dataset:
    match data:
        case ImageFolder():
            return load_image_folder(data, folder, cache, progress)
        case Digits():
            from studies.data.digits import load_digits

            return load_digits(data)
        case Npz():
            from studies.data.npz import load_npz

            return load_npz(data, folder)
        case KerasDataset():
            from studies.data.keras_datasets import load_keras_dataset

            return load_keras_dataset(data)
        case CustomData():
            from studies.data.custom import load_custom

            return load_custom(data)
    raise DataError(f"data must be one of the records of spaces.data, got {data!r}.")
