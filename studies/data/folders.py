"""List the images of a folder of class folders, and reject folders that cannot train a classifier.

Files named as JPEG, PNG, BMP, GIF or WebP are images, at any depth in a class folder. Hidden files, system files
(`Thumbs.db`, `desktop.ini`, `__MACOSX`) and files that are clearly something else by their names (texts, tables,
archives, code) are ignored. Every other file is reported as skipped.
"""

import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spaces.errors import DataError
from studies.data.class_checks import check_class_names
from studies.data.dataset import Skipped
from studies.data.scanning import (
    SUPPORTED,
    UNSUPPORTED,
    extension,
    is_other_file,
    list_loose_images,
    list_subfolders,
    scan,
    walk_files,
)
from studies.data.split_names import SPLIT_NAMES, TEST, TRAIN
from studies.images.decoding import EXTENSIONS
from studies.images.messages import os_reason, printable_path, quote_names

LABEL_HINT = "to read labels from a table or from file names, pass a function: Space(data=function)"


class ImageFile(NamedTuple):
    """One image file: its path, split, class and relative name, and what reveals a change."""

    path: str
    split: int
    label: int
    name: str
    size: int
    modified_ns: int
    changed_ns: int


class SkippedFile(NamedTuple):
    """A file of a class that is left out: its path, split and class, and why it cannot be used."""

    path: str
    split: int
    label: int
    reason: str

    @property
    def to_skipped(self) -> Skipped:
        """The file as it is reported to the user."""
        return Skipped(printable_path(self.path), self.reason)


@dataclass(frozen=True)
class Listing:
    """The image files of a data set, in an order that does not depend on the file system.

    Args:
        classes: Names of the classes, sorted.
        files: Files, sorted by split, class and name.
        skipped: Files that may be images of an unsupported type.
        unused: Files that are reported but do not count as unreadable, such as images next to the class folders.
    """

    classes: tuple[str, ...]
    files: list[ImageFile] = field(default_factory=list)
    skipped: list[SkippedFile] = field(default_factory=list)
    unused: list[Skipped] = field(default_factory=list)

    @cached_property
    def labels(self) -> np.ndarray:
        """(n,) int64 classes of the files."""
        return np.array([file.label for file in self.files], np.int64)

    @cached_property
    def splits(self) -> np.ndarray:
        """(n,) int64 splits of the files."""
        return np.array([file.split for file in self.files], np.int64)

    def sort(self) -> "Listing":
        """Sort the files, whatever the order of the file system, and return the listing."""
        self.files.sort(key=lambda file: (file.split, file.label, file.name))
        self.skipped.sort()
        self.unused.sort()
        return self


def resolve_path(path: str | os.PathLike[str], folder: Path) -> str:
    """Return the absolute path of a path that is relative to a folder."""
    return os.path.normpath(folder.absolute() / Path(path).expanduser())


def require_folder(path: str, given: str | os.PathLike[str], folder: Path) -> None:
    """Raise `DataError` if a folder is missing, is a file, or cannot be read.

    Args:
        given: Path as the user wrote it.
        folder: Folder that a relative path starts from.
    """
    text = os.fspath(given)
    relative = not Path(text).expanduser().is_absolute()
    origin = f" ({text!r} is relative to {printable_path(str(folder.absolute()))})" if relative else ""
    if not Path(path).exists():
        raise DataError(f"image folder not found: {printable_path(path)}{origin}")
    if not Path(path).is_dir():
        raise DataError(
            f"{printable_path(path)} is a file{origin}\nhint: pass a folder with one sub-folder of images per class"
        )
    scan(path)


def list_images(roots: dict[int, str], classes: Sequence[str] | None = None) -> Listing:
    """List every image file in the folders of the splits.

    Args:
        roots: Folder of each split, at least of the training split.
        classes: Sub-folders that are the classes; None for all.

    Raises:
        DataError: There are no class folders, the splits have different classes, or most images lie outside of the
            class folders.
    """
    found = {split: class_folders(root, classes) for split, root in roots.items()}
    listing = Listing(tuple(sorted(found[TRAIN])))
    for split, folders in sorted(found.items()):
        _check_classes(split, roots, sorted(folders), listing.classes)
        count = len(listing.files)
        _add_files(listing, split, folders)
        _add_loose_images(listing, roots[split], len(listing.files) - count)
    return listing.sort()


def list_labelled_images(root: str, classes: Sequence[str]) -> Listing:
    """List every image file in the class folders of a folder, labelled by known classes; some may be missing.

    Raises:
        DataError: A class folder has another name, or there are no images.
    """
    found = class_folders(root)
    unknown = [name for name in sorted(found) if name not in classes]
    if unknown:
        inside = next((path for name in unknown for path in found[name] if _has_class_folder(path, classes)), None)
        hint = f"\nhint: to evaluate on {printable_path(inside)}, pass that folder" if inside else ""
        raise DataError(
            f"{printable_path(root)} has class folders that the model does not know: {quote_names(unknown, 10)} "
            f"(its classes are {quote_names(classes, 10)}){hint}"
        )
    listing = Listing(tuple(classes))
    _add_files(listing, TEST, found)
    if not listing.files:
        kinds = describe_files(path for paths in found.values() for path in paths)
        raise DataError(f"{printable_path(root)} has class folders, but no {SUPPORTED} files in them{kinds}")
    return listing.sort()


def class_folders(root: str, classes: Sequence[str] | None = None) -> dict[str, list[str]]:
    """Return the folders of each class; names that look the same but are encoded differently are one class.

    Args:
        classes: Sub-folders that are the classes; None for all.

    Raises:
        DataError: There are no class folders, one of `classes` is missing, or a folder name cannot be a class name.
    """
    found: dict[str, list[str]] = {}
    for name, path in list_subfolders(root):
        found.setdefault(unicodedata.normalize("NFC", name), []).append(path)
    if classes is not None:
        requested = [unicodedata.normalize("NFC", name) for name in classes]
        if missing := [name for name in requested if name not in found]:
            raise DataError(f"classes: {printable_path(root)} has no folder {missing[0]!r}\nhint: check its name")
        found = {name: found[name] for name in requested}
    _check_links(root)
    if not found:
        loose = len(list_loose_images(root))
        count = f" (images directly in it: {loose})" if loose else ""
        raise DataError(
            f"{printable_path(root)} has no class folders{count}\n"
            f"hint: put the images of each class in a sub-folder\nhint: {LABEL_HINT}"
        )
    check_class_names(list(found), printable_path(root), "rename the folder")
    return found


def describe_files(folders: Iterable[str]) -> str:
    """Return the types of files in folders and what to do about them, for the end of a message; empty if no files."""
    counts = Counter(
        extension(entry.name) or "without an extension" for path in folders for entry, _ in walk_files(path)
    )
    if not counts:
        return ""
    named = ", ".join(f"{count:,} {kind}" for kind, count in counts.most_common(5)) + ", ..." * (len(counts) > 5)
    advice = "; convert them to PNG or JPEG, or read them by a function: Space(data=function)"
    return f" (files there: {named}{advice if UNSUPPORTED.intersection(counts) else ''})"


def _add_files(listing: Listing, split: int, folders: dict[str, list[str]]) -> None:
    """Add the files of a split at any depth in its class folders, by class."""
    for label, name in enumerate(listing.classes):
        for entry, relative in (found for folder in folders.get(name, ()) for found in walk_files(folder)):
            kind, problem = extension(entry.name), None
            if kind in EXTENSIONS:
                try:
                    at = entry.stat()
                except OSError as error:
                    problem = os_reason(error)
                else:
                    times = at.st_mtime_ns, at.st_ctime_ns
                    if stat.S_ISREG(at.st_mode):
                        listing.files.append(ImageFile(entry.path, split, label, relative, at.st_size, *times))
                    else:
                        problem = "not a file"
            elif not is_other_file(entry.name):
                problem = f"file name is not that of a {SUPPORTED} image"
            elif kind in UNSUPPORTED:
                listing.unused.append(Skipped(printable_path(entry.path), f"{kind} files are not supported"))
            if problem:
                listing.skipped.append(SkippedFile(entry.path, split, label, problem))


def _add_loose_images(listing: Listing, root: str, in_classes: int) -> None:
    """Report the images next to the class folders, which belong to no class.

    Raises:
        DataError: They outnumber those in the class folders.
    """
    loose = list_loose_images(root)
    if len(loose) > in_classes:
        raise DataError(
            f"{len(loose):,} images are directly in {printable_path(root)} and have no label, next to class folders "
            f"with {in_classes:,} images\nhint: put each image in the folder of its class, or remove it"
        )
    reason = "next to the class folders, so it has no label"
    listing.unused.extend(Skipped(printable_path(path), reason) for path in loose)


def _has_class_folder(path: str, classes: Sequence[str]) -> bool:
    return any(unicodedata.normalize("NFC", name) in classes for name, _ in list_subfolders(path))


def _check_links(root: str) -> None:
    """Raise `DataError` for a broken link that may have been a class folder."""
    for entry in scan(root):
        is_broken = entry.is_symlink() and not entry.name.startswith(".") and not Path(entry.path).exists()
        if is_broken and not extension(entry.name):
            raise DataError(
                f"broken link {printable_path(entry.path)}, which may be a class folder\nhint: repair or remove it"
            )


def _check_classes(split: int, roots: dict[int, str], found: Sequence[str], classes: Sequence[str]) -> None:
    unknown = [name for name in found if name not in classes]
    missing = [name for name in classes if name not in found]
    if not unknown and not missing:
        return
    sides = ((SPLIT_NAMES[split], unknown), ("train", missing))
    differences = "; ".join(f"only in {side}: {quote_names(names, 10)}" for side, names in sides if names)
    same = {name.casefold() for name in unknown} & {name.casefold() for name in missing}
    case = "\nhint: some names differ only in case: rename these" if same else ""
    hold_out = "\nhint: to hold out training images for the test, pass test=0.2 (--test 0.2)" if split == TEST else ""
    raise DataError(
        f"the class folders of the {SPLIT_NAMES[split]} folder {printable_path(roots[split])} differ from those of "
        f"{printable_path(roots[TRAIN])}: {differences}{case}{hold_out}"
    )
