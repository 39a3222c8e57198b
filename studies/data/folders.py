"""Finds the images of a folder of class folders, and refuses folders that no classifier can be trained on.

Files named as JPEG, PNG, BMP, GIF or WebP are images, at any depth in a class folder. Hidden files, the ones that
systems leave behind (`Thumbs.db`, `desktop.ini`, `__MACOSX`) and those that are clearly something else by their name
(texts, tables, archives, code) are passed over. Every other file is reported as skipped.
"""

import os
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spaces.errors import DataError
from studies.data.decoding import EXTENSIONS, shown
from studies.data.splits import Skipped

TEST, VALIDATION, TRAIN = range(3)
PARTS = ("test", "validation", "train")
"""In the order in which the images of a data set are stored."""

_NAMES = {"train": TRAIN, "test": TEST, "validation": VALIDATION, "val": VALIDATION, "valid": VALIDATION}
_OTHER_FILES = frozenset(
    (
        *(".txt", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".md", ".rst", ".html", ".htm", ".pdf"),
        *(".db", ".ini", ".log", ".py", ".ipynb", ".sh", ".zip", ".tar", ".gz", ".npy", ".npz", ".mat", ".pkl", ".h5"),
    )
)
_OTHER_FOLDERS = frozenset(("__macosx", "__pycache__", "@eadir"))


class ImageFile(NamedTuple):
    """One image file: where it is, what it is of, and what tells whether it has changed."""

    path: str
    part: int
    label: int
    name: str
    size: int
    modified_ns: int
    changed_ns: int


@dataclass(frozen=True)
class Listing:
    """The image files of a data set, in an order that does not depend on the file system.

    Args:
        classes: Names of the classes, sorted.
        files: Sorted by part, class and name.
        skipped: Files that may be images of an unsupported kind.
    """

    classes: tuple[str, ...]
    files: list[ImageFile]
    skipped: list[Skipped]

    @cached_property
    def labels(self) -> np.ndarray:
        """(n,) int64 classes of the files."""
        return np.array([file.label for file in self.files], np.int64)

    @cached_property
    def parts(self) -> np.ndarray:
        """(n,) int64 parts of the files."""
        return np.array([file.part for file in self.files], np.int64)


def absolute(path: str | os.PathLike[str], folder: Path) -> str:
    """A path that is looked up from a folder."""
    return os.path.normpath(folder.absolute() / Path(path).expanduser())


def require_folder(path: str, given: str | os.PathLike[str], folder: Path) -> None:
    """Raise `DataError` when it is missing, is a file, or cannot be read."""
    text = os.fspath(given)
    relative = not Path(text).expanduser().is_absolute()
    origin = f" ({text!r} is looked up from {shown(str(folder.absolute()))})" if relative else ""
    if not Path(path).exists():
        raise DataError(f"The folder of images {shown(path)} does not exist{origin}.")
    if not Path(path).is_dir():
        raise DataError(f"{shown(path)} is a file{origin}: a folder with one sub-folder of images per class is needed.")
    _scan(path)


def parts_within(path: str) -> dict[int, str]:
    """The folders of the parts, by part, where a folder is already split; else nothing.

    It is split when its `train` holds class folders and no images; a class may have that name too.
    """
    found = {_NAMES[name.lower()]: child for name, child in _folders(path) if name.lower() in _NAMES}
    train = found.get(TRAIN)
    if train is None or not _folders(train) or any(_extension(entry.name) in EXTENSIONS for entry in _scan(train)):
        return {}
    return found


def beside_train(path: str, part: int) -> str | None:
    """The folder of another part, such as `test`, beside a folder named `train`."""
    if Path(path).name.lower() != "train":
        return None
    return next((child for other, child in _folders(str(Path(path).parent)) if _NAMES.get(other.lower()) == part), None)


def listed(roots: dict[int, str]) -> Listing:
    """Every image file below the folders of the parts.

    Raises:
        DataError: There are no class folders, or the parts have other classes than the training images.
    """
    found = {part: class_folders(root) for part, root in roots.items()}
    classes = tuple(sorted(found[TRAIN]))
    files: list[ImageFile] = []
    skipped: list[Skipped] = []
    for part, folders in sorted(found.items()):
        _check_classes(part, roots, sorted(folders), classes)
        for label, name in enumerate(classes):
            for folder in folders[name]:
                listed_files, others = images_in(folder, part, label)
                files += listed_files
                skipped += others
    files.sort(key=lambda file: (file.part, file.label, file.name))
    return Listing(classes, files, sorted(skipped))


def listed_as(root: str, classes: Sequence[str]) -> Listing:
    """Every image file below the class folders of a folder, labelled by known classes; some may be absent.

    Raises:
        DataError: A class folder has another name, or there is no image.
    """
    found = class_folders(root)
    unknown = [name for name in sorted(found) if name not in classes]
    if unknown:
        raise DataError(
            f"{shown(root)} has class folders that the model does not know: {', '.join(map(repr, unknown[:10]))}. "
            f"Its classes are {', '.join(map(repr, classes[:10]))}{', ...' if len(classes) > 10 else ''}."
        )
    files: list[ImageFile] = []
    skipped: list[Skipped] = []
    for name, paths in found.items():
        for path in paths:
            listed_files, others = images_in(path, TEST, list(classes).index(name))
            files += listed_files
            skipped += others
    if not files:
        raise DataError(f"{shown(root)} has class folders, but no JPEG, PNG, BMP, GIF or WebP files in them.")
    return Listing(tuple(classes), sorted(files, key=lambda file: (file.label, file.name)), sorted(skipped))


def class_folders(root: str) -> dict[str, list[str]]:
    """The folders of each class; names that look alike but are coded differently are one class.

    Raises:
        DataError: There are none.
    """
    found: dict[str, list[str]] = {}
    for name, path in _folders(root):
        found.setdefault(unicodedata.normalize("NFC", name), []).append(path)
    if not found:
        loose = sum(_extension(entry.name) in EXTENSIONS for entry in _scan(root))
        hint = f" (images directly in it: {loose})" if loose else ""
        raise DataError(
            f"{shown(root)} has no class folders{hint}. Put the images of each class in a sub-folder of it."
        )
    return found


def images_in(folder: str, part: int, label: int) -> tuple[list[ImageFile], list[Skipped]]:
    """The image files at any depth below a class folder, and the files that may be images of another kind."""
    files: list[ImageFile] = []
    skipped: list[Skipped] = []
    for entry, name in _walk(folder, "", ()):
        extension = _extension(entry.name)
        if extension in EXTENSIONS:
            try:
                at = entry.stat()
            except OSError as error:
                skipped.append(Skipped(shown(entry.path), (error.strerror or str(error)).lower()))
                continue
            if not stat.S_ISREG(at.st_mode):
                skipped.append(Skipped(shown(entry.path), "not a file"))
                continue
            files.append(ImageFile(entry.path, part, label, name, at.st_size, at.st_mtime_ns, at.st_ctime_ns))
        elif extension not in _OTHER_FILES:
            skipped.append(Skipped(shown(entry.path), "not a JPEG, PNG, BMP, GIF or WebP file by its name"))
    return files, skipped


def _check_classes(part: int, roots: dict[int, str], found: Sequence[str], classes: Sequence[str]) -> None:
    unknown = [name for name in found if name not in classes]
    missing = [name for name in classes if name not in found]
    if not unknown and not missing:
        return
    differences = [
        *([f"only in {PARTS[part]}: {', '.join(map(repr, unknown[:10]))}"] if unknown else []),
        *([f"only in train: {', '.join(map(repr, missing[:10]))}"] if missing else []),
    ]
    raise DataError(
        f"The {PARTS[part]} folder {shown(roots[part])} must have the same class folders as {shown(roots[TRAIN])}; "
        f"{'; '.join(differences)}."
    )


def _folders(path: str) -> list[tuple[str, str]]:
    """Name and path of the visible sub-folders, sorted."""
    folders = (entry for entry in _scan(path) if entry.is_dir() and _is_visible_folder(entry.name))
    return sorted((entry.name, entry.path) for entry in folders)


def _walk(folder: str, prefix: str, above: tuple[str, ...]) -> Iterator[tuple[os.DirEntry[str], str]]:
    """Every visible file below a folder and its name relative to the first; links in a circle are followed once."""
    real = str(Path(folder).resolve())
    if real in above:
        return
    for entry in _scan(folder):
        name = prefix + entry.name
        if entry.is_dir():
            if _is_visible_folder(entry.name):
                yield from _walk(entry.path, name + "/", (*above, real))
        elif not entry.name.startswith("."):
            yield entry, name


def _scan(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DataError(f"The folder {shown(folder)} cannot be read: {reason}.") from error


def _is_visible_folder(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in _OTHER_FOLDERS


def _extension(name: str) -> str:
    stem, dot, extension = name.rpartition(".")
    return dot + extension.lower() if stem else ""
