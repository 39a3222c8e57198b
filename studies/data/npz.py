"""Images and labels in a NumPy archive."""

import re
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from spaces.data import Npz
from spaces.errors import DataError
from studies.data.arrays import PARTS, dataset_of
from studies.data.dataset import Dataset
from studies.data.folders import absolute
from studies.images.decoding import shown_path

NAMES = (*(f"{kind}_{part}" for part in PARTS for kind in "xy"), "classes")
"""The arrays that an archive may hold, each under this name alone."""

_IMAGE_WORDS = ("x", "image", "images", "img", "imgs", "data")
_LABEL_WORDS = ("y", "label", "labels", "target", "targets")
_AS_TEXTS = "{name}=np.asarray(labels, dtype=str), or dtype=int for integers"
_SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}


def load_npz(data: Npz, folder: Path) -> Dataset:
    """The splits of an archive.

    Args:
        data: The record.
        folder: Where a relative path starts.

    Raises:
        DataError: The archive is missing, damaged, or holds something else than images and labels.
    """
    path = absolute(data.file, folder)
    where = shown_path(path)
    arrays = _arrays(path, where)
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
            _check_names(archive.files, where)
            return {name: _array(archive, name, where) for name in archive.files}
    except OSError as error:
        raise DataError(f"The archive {where} cannot be read: {(error.strerror or str(error)).lower()}.") from error
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise DataError(f"The archive {where} is damaged: {error}.") from error


def _array(archive: "np.lib.npyio.NpzFile", name: str, where: str) -> np.ndarray:
    try:
        array: np.ndarray = archive[name]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        fix = "images of one shape make one array of numbers" if name.startswith("x_") else _AS_TEXTS.format(name=name)
        raise DataError(
            f"{where}: {name} holds Python objects, which may run code when they are read. Save it again: {fix}."
        ) from error
    return array


def _check_names(names: Sequence[str], where: str) -> None:
    if unknown := [name for name in names if name not in NAMES]:
        raise DataError(
            f"{where} holds arrays that `search` does not know: {', '.join(map(repr, unknown[:10]))}"
            f"{', ...' if len(unknown) > 10 else ''}. The names are {', '.join(NAMES)}. {_rename(names, unknown)}"
        )
    halves = [
        f"{kind}_{part}"
        for part in PARTS
        for kind, other in ("xy", "yx")
        if f"{other}_{part}" in names and f"{kind}_{part}" not in names
    ]
    if "x_train" in names and not halves:
        return
    missing = ", ".join(halves) or "x_train, y_train"
    found = ", ".join(sorted(names)) or "nothing"
    raise DataError(
        f"{where} must hold x_train and y_train (and may hold x_validation, x_test and their y_): "
        f"{missing} missing, found {found}."
    )


def _rename(names: Sequence[str], unknown: Sequence[str]) -> str:
    """How to save the archive with the names that are known, as far as they can be told."""
    renames = {name: meant for name in unknown if (meant := _meant(name)) is not None and meant not in names}
    if len(set(renames.values())) < len(renames):
        renames = {}
    steps = [f"a[{meant!r}] = a.pop({name!r})" for name, meant in renames.items()]
    steps += [f"del a[{name!r}]" for name in unknown if name not in renames]
    advice = "Rename them, or leave them out" if renames else "Leave them out, or name them"
    return f"{advice}: a = dict(np.load(file)); {'; '.join(steps[:10])}; np.savez(file, **a)."


def _meant(name: str) -> str | None:
    """The known name that another name stands for; None where it may mean anything."""
    words = re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower())
    if words in (["class", "names"], ["class", "name"], ["classnames"], ["names"]):
        return "classes"
    splits = {_SPLIT_WORDS[word] for word in words if word in _SPLIT_WORDS}
    kinds = {"x" for word in words if word in _IMAGE_WORDS} | {"y" for word in words if word in _LABEL_WORDS}
    if len(kinds) != 1 or len(splits) > 1 or len(words) != len(kinds) + len(splits):
        return None
    return f"{kinds.pop()}_{splits.pop() if splits else 'train'}"
