"""Images and labels in a NumPy archive."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from spaces.data import Npz
from spaces.errors import DataError
from studies.data.arrays import PARTS, dataset_of
from studies.data.decoding import shown
from studies.data.folders import absolute
from studies.data.splits import Dataset

_KNOWN = {f"{kind}_{part}" for kind in "xy" for part in PARTS} | {"classes"}


def load_npz(data: Npz, folder: Path) -> Dataset:
    """The splits of an archive.

    Args:
        data: The record.
        folder: Where a relative path starts.

    Raises:
        DataError: The archive is missing, damaged, or holds something else than images and labels.
    """
    path = absolute(data.file, folder)
    where = shown(path)
    arrays = _arrays(path, where)
    _check_names(set(arrays), where)
    parts = {part: (arrays[f"x_{part}"], arrays[f"y_{part}"]) for part in PARTS if f"x_{part}" in arrays}
    classes = arrays["classes"].tolist() if "classes" in arrays else None
    return dataset_of(parts, where, classes=classes, validation=data.validation, test=data.test)


def _arrays(path: str, where: str) -> dict[str, np.ndarray]:
    if not Path(path).exists():
        raise DataError(f"The archive {where} does not exist.")
    try:
        if not zipfile.is_zipfile(path):
            raise DataError(f"{where} is not a NumPy archive: save one with np.savez(file, x_train=..., y_train=...).")
        with np.load(path, allow_pickle=False) as archive:
            # What has another name is not read, only named.
            return {name: archive[name] if name in _KNOWN else np.empty(0) for name in archive.files}
    except OSError as error:
        raise DataError(f"The archive {where} cannot be read: {(error.strerror or str(error)).lower()}.") from error
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        if "allow_pickle" not in str(error):
            raise DataError(f"The archive {where} is damaged: {error}.") from error
        raise DataError(
            f"{where} holds Python objects, which may run code when they are read. "
            "Save arrays of numbers or texts: np.asarray(labels, dtype=str)."
        ) from error


def _check_names(names: set[str], where: str) -> None:
    halves = [
        (f"{kind}_{part}", f"{other}_{part}")
        for part in PARTS
        for kind, other in ("xy", "yx")
        if f"{other}_{part}" in names and f"{kind}_{part}" not in names
    ]
    if "x_train" in names and not halves:
        return
    missing = ", ".join(name for name, _ in halves) or "x_train, y_train"
    found = ", ".join(sorted(names)[:10]) or "nothing"
    raise DataError(
        f"{where} must hold x_train and y_train (and may hold x_validation, x_test and their y_): "
        f"{missing} missing, found {found}."
    )
