"""Load images and labels from a NumPy archive."""

import re
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from spaces.data import Npz
from spaces.errors import DataError
from studies.data.arrays import SPLITS, dataset_from_arrays
from studies.data.dataset import Dataset
from studies.data.folders import resolve_path
from studies.images.messages import os_reason, printable_path, quote_names

NAMES = (*(f"{kind}_{split}" for split in SPLITS for kind in "xy"), "classes")
"""Names of the arrays that an archive may contain."""

_IMAGE_WORDS = ("x", "image", "images", "img", "imgs", "data")
_LABEL_WORDS = ("y", "label", "labels", "target", "targets")
_AS_TEXTS = "{name}=np.asarray(labels, dtype=str), or dtype=int for integers"
_SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}


def load_npz(data: Npz, folder: Path) -> Dataset:
    """Load the splits of an archive, whose path may be relative to a folder.

    Raises:
        DataError: The archive is missing or damaged, or does not contain images and labels.
    """
    path = resolve_path(data.file, folder)
    where = printable_path(path)
    arrays = _read_arrays(path, where)
    splits = {split: (arrays[f"x_{split}"], arrays[f"y_{split}"]) for split in SPLITS if f"x_{split}" in arrays}
    classes = arrays["classes"].tolist() if "classes" in arrays else None
    return dataset_from_arrays(splits, where, classes=classes, validation=data.validation, test=data.test)


def _read_arrays(path: str, where: str) -> dict[str, np.ndarray]:
    if not Path(path).exists():
        raise DataError(f"archive not found: {where}")
    try:
        if not zipfile.is_zipfile(path):
            raise DataError(
                f"{where} is not a NumPy archive\nhint: save one with np.savez(file, x_train=..., y_train=...)"
            )
        with np.load(path, allow_pickle=False) as archive:
            _check_names(archive.files, where)
            return {name: _read_array(archive, name, where) for name in archive.files}
    except OSError as error:
        raise DataError(f"cannot read the archive {where}: {os_reason(error)}") from error
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise DataError(f"the archive {where} is damaged: {error}") from error


def _read_array(archive: "np.lib.npyio.NpzFile", name: str, where: str) -> np.ndarray:
    try:
        array: np.ndarray = archive[name]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        fix = (
            "combine images of one shape into one array of numbers"
            if name.startswith("x_")
            else _AS_TEXTS.format(name=name)
        )
        raise DataError(
            f"{where}: {name} contains Python objects, which may run code when loaded\nhint: save it again: {fix}"
        ) from error
    return array


def _check_names(names: Sequence[str], where: str) -> None:
    if unknown := [name for name in names if name not in NAMES]:
        raise DataError(
            f"{where} contains unknown arrays: {quote_names(unknown, 10)} (expected names: {', '.join(NAMES)})\n"
            f"hint: {_rename_hint(names, unknown)}"
        )
    halves = [
        f"{kind}_{split}"
        for split in SPLITS
        for kind, other in ("xy", "yx")
        if f"{other}_{split}" in names and f"{kind}_{split}" not in names
    ]
    if "x_train" in names and not halves:
        return
    missing = ", ".join(halves) or "x_train, y_train"
    found = ", ".join(sorted(names)) or "nothing"
    raise DataError(
        f"{where} must contain x_train and y_train, and optionally x_validation, x_test and their y_: "
        f"{missing} missing, found {found}"
    )


def _rename_hint(names: Sequence[str], unknown: Sequence[str]) -> str:
    """Return how to save the archive with the expected names, as far as they can be guessed."""
    renames = {name: meant for name in unknown if (meant := _guess_name(name)) is not None and meant not in names}
    if len(set(renames.values())) < len(renames):
        renames = {}
    steps = [f"a[{meant!r}] = a.pop({name!r})" for name, meant in renames.items()]
    steps += [f"del a[{name!r}]" for name in unknown if name not in renames]
    advice = "rename or remove them" if renames else "remove or rename them"
    return f"{advice}: a = dict(np.load(file)); {'; '.join(steps[:10])}; np.savez(file, **a)"


def _guess_name(name: str) -> str | None:
    """Return the expected name that another name probably means, or None if it is unclear."""
    words = re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower())
    if words in (["class", "names"], ["class", "name"], ["classnames"], ["names"]):
        return "classes"
    splits = {_SPLIT_WORDS[word] for word in words if word in _SPLIT_WORDS}
    kinds = {"x" for word in words if word in _IMAGE_WORDS} | {"y" for word in words if word in _LABEL_WORDS}
    if len(kinds) != 1 or len(splits) > 1 or len(words) != len(kinds) + len(splits):
        return None
    return f"{kinds.pop()}_{splits.pop() if splits else 'train'}"
