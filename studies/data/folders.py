"""Finds the images of a folder of class folders, and refuses folders that no classifier can be trained on.

Files named as JPEG, PNG, BMP, GIF or WebP are images, at any depth in a class folder. Hidden files, the ones that
systems leave behind (`Thumbs.db`, `desktop.ini`, `__MACOSX`) and those that are clearly something else by their name
(texts, tables, archives, code) are passed over. Every other file is reported as skipped.
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
from studies.data.class_checks import check_names
from studies.data.dataset import Skipped
from studies.data.scanning import SUPPORTED, UNSUPPORTED, extension, is_something_else, loose_images, scan, subfolders
from studies.data.scanning import walk as files_below
from studies.data.split_names import PARTS, TEST, TRAIN
from studies.images.decoding import EXTENSIONS, shown_path

__all__ = ["PARTS", "TEST", "TRAIN", "ImageFile", "Listing", "absolute", "listed", "listed_as", "require_folder"]


class ImageFile(NamedTuple):
    """One image file: where it is, what it is of, and what tells whether it has changed."""

    path: str
    part: int
    label: int
    name: str
    size: int
    modified_ns: int
    changed_ns: int


class SkippedFile(NamedTuple):
    """A file of a class that is left out: where it is, what it is of, and why it cannot be used."""

    path: str
    part: int
    label: int
    reason: str

    @property
    def shown(self) -> Skipped:
        """The same as it is reported."""
        return Skipped(shown_path(self.path), self.reason)


@dataclass(frozen=True)
class Listing:
    """The image files of a data set, in an order that does not depend on the file system.

    Args:
        classes: Names of the classes, sorted.
        files: Sorted by part, class and name.
        skipped: Files that may be images of an unsupported kind.
        unused: Files that are reported but do not count as unreadable, such as images next to the class folders.
    """

    classes: tuple[str, ...]
    files: list[ImageFile]
    skipped: list["SkippedFile"]
    unused: list[Skipped] = field(default_factory=list)

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
    origin = f" ({text!r} is looked up from {shown_path(str(folder.absolute()))})" if relative else ""
    if not Path(path).exists():
        raise DataError(f"The folder of images {shown_path(path)} does not exist{origin}.")
    if not Path(path).is_dir():
        raise DataError(
            f"{shown_path(path)} is a file{origin}: a folder with one sub-folder of images per class is needed."
        )
    scan(path)


def listed(roots: dict[int, str], classes: Sequence[str] | None = None) -> Listing:
    """Every image file below the folders of the parts.

    Args:
        roots: The folder of each part, at least that of the training images.
        classes: The sub-folders that are the classes; None for all of them.

    Raises:
        DataError: There are no class folders, the parts have other classes than the training images, or most images
            lie outside of the class folders.
    """
    found = {part: class_folders(root, classes) for part, root in roots.items()}
    names = tuple(sorted(found[TRAIN]))
    files: list[ImageFile] = []
    skipped: list[SkippedFile] = []
    unused: list[Skipped] = []
    for part, folders in sorted(found.items()):
        _check_classes(part, roots, sorted(folders), names)
        in_part = _files_of(part, names, folders)
        files += in_part.files
        skipped += in_part.skipped
        unused += [*in_part.unused, *_loose(roots[part], len(in_part.files))]
    files.sort(key=lambda file: (file.part, file.label, file.name))
    return Listing(names, files, sorted(skipped), sorted(unused))


def listed_as(root: str, classes: Sequence[str]) -> Listing:
    """Every image file below the class folders of a folder, labelled by known classes; some may be absent.

    Raises:
        DataError: A class folder has another name, or there is no image.
    """
    found = class_folders(root)
    unknown = [name for name in sorted(found) if name not in classes]
    if unknown:
        inside = next((path for name in unknown for path in found[name] if _holds(path, classes)), None)
        hint = f" To evaluate on {shown_path(inside)}, pass that folder." if inside else ""
        raise DataError(
            f"{shown_path(root)} has class folders that the model does not know: {', '.join(map(repr, unknown[:10]))}."
            f"{hint} Its classes are {', '.join(map(repr, classes[:10]))}{', ...' if len(classes) > 10 else ''}."
        )
    listing = _files_of(TEST, classes, found)
    if not listing.files:
        kinds = kinds_below(path for paths in found.values() for path in paths)
        raise DataError(f"{shown_path(root)} has class folders, but no {SUPPORTED} files in them{kinds}.")
    files = sorted(listing.files, key=lambda file: (file.label, file.name))
    return Listing(tuple(classes), files, sorted(listing.skipped), sorted(listing.unused))


def class_folders(root: str, classes: Sequence[str] | None = None) -> dict[str, list[str]]:
    """The folders of each class; names that look alike but are coded differently are one class.

    Args:
        root: The folder of class folders.
        classes: The sub-folders that are the classes; None for all of them.

    Raises:
        DataError: There are none, one that was named is missing, or a name cannot be the name of a class.
    """
    found: dict[str, list[str]] = {}
    for name, path in subfolders(root):
        found.setdefault(unicodedata.normalize("NFC", name), []).append(path)
    if classes is not None:
        wanted = [unicodedata.normalize("NFC", name) for name in classes]
        if missing := [name for name in wanted if name not in found]:
            raise DataError(
                f"{shown_path(root)} has no folder {missing[0]!r}, which classes=... names. Check its name."
            )
        found = {name: found[name] for name in wanted}
    _check_links(root)
    if not found:
        loose = len(loose_images(root))
        hint = f" (images directly in it: {loose})" if loose else ""
        raise DataError(
            f"{shown_path(root)} has no class folders{hint}. Put the images of each class in a sub-folder of it. "
            "Labels in a table or in file names are read by a function: Space(data=function)."
        )
    check_names(root, list(found))
    return found


def images_in(folder: str, part: int, label: int) -> tuple[list[ImageFile], list[SkippedFile], list[Skipped]]:
    """The images at any depth below a class folder, what may be an image of another kind, and what is reported only."""
    files: list[ImageFile] = []
    skipped: list[SkippedFile] = []
    unused: list[Skipped] = []
    for entry, name in files_below(folder):
        kind = extension(entry.name)
        if kind in EXTENSIONS:
            try:
                at = entry.stat()
            except OSError as error:
                skipped.append(SkippedFile(entry.path, part, label, (error.strerror or str(error)).lower()))
                continue
            if not stat.S_ISREG(at.st_mode):
                skipped.append(SkippedFile(entry.path, part, label, "not a file"))
                continue
            files.append(ImageFile(entry.path, part, label, name, at.st_size, at.st_mtime_ns, at.st_ctime_ns))
        elif not is_something_else(entry.name):
            skipped.append(SkippedFile(entry.path, part, label, f"not a {SUPPORTED} file by its name"))
        elif kind in UNSUPPORTED:
            unused.append(Skipped(shown_path(entry.path), f"{kind} files are not read"))
    return files, skipped, unused


def kinds_below(folders: Iterable[str]) -> str:
    """The kinds of files below some folders and what to do about them, for the end of a sentence; empty if none."""
    counts = Counter(
        extension(entry.name) or "without an extension" for path in folders for entry, _ in files_below(path)
    )
    if not counts:
        return ""
    named = ", ".join(f"{count:,} {kind}" for kind, count in counts.most_common(5))
    more = ", ..." if len(counts) > 5 else ""
    advice = "; convert them to PNG or JPEG, or read them by a function: Space(data=function)"
    return f" (files there: {named}{more}{advice if UNSUPPORTED.intersection(counts) else ''})"


def _files_of(part: int, classes: Sequence[str], folders: dict[str, list[str]]) -> Listing:
    files: list[ImageFile] = []
    skipped: list[SkippedFile] = []
    unused: list[Skipped] = []
    for label, name in enumerate(classes):
        for folder in folders.get(name, ()):
            images, others, reported = images_in(folder, part, label)
            files += images
            skipped += others
            unused += reported
    return Listing(tuple(classes), files, skipped, unused)


def _loose(root: str, in_classes: int) -> list[Skipped]:
    """The images next to the class folders, which belong to no class.

    Raises:
        DataError: They are more than those of the classes.
    """
    loose = loose_images(root)
    if len(loose) > in_classes:
        raise DataError(
            f"{len(loose):,} images lie directly in {shown_path(root)}, next to class folders with {in_classes:,} "
            "images. Images outside of the class folders have no label: put each in the folder of its class, "
            "or remove them."
        )
    return [Skipped(shown_path(path), "next to the class folders, so it has no label") for path in loose]


def _holds(path: str, classes: Sequence[str]) -> bool:
    return any(unicodedata.normalize("NFC", name) in classes for name, _ in subfolders(path))


def _check_links(root: str) -> None:
    """Raise `DataError` for a link that leads nowhere and may have been a class folder."""
    for entry in scan(root):
        is_lost = entry.is_symlink() and not entry.name.startswith(".") and not Path(entry.path).exists()
        if is_lost and not extension(entry.name):
            raise DataError(
                f"The link {shown_path(entry.path)} leads nowhere; it may be a class folder. Repair or remove it."
            )


def _check_classes(part: int, roots: dict[int, str], found: Sequence[str], classes: Sequence[str]) -> None:
    unknown = [name for name in found if name not in classes]
    missing = [name for name in classes if name not in found]
    if not unknown and not missing:
        return
    differences = [
        *([f"only in {PARTS[part]}: {', '.join(map(repr, unknown[:10]))}"] if unknown else []),
        *([f"only in train: {', '.join(map(repr, missing[:10]))}"] if missing else []),
    ]
    same = {name.casefold() for name in unknown} & {name.casefold() for name in missing}
    case = " Some differ only in upper and lower case: rename these." if same else ""
    split = " Or pass test=0.2 (--test 0.2) to set test images aside from the training images." if part == TEST else ""
    raise DataError(
        f"The {PARTS[part]} folder {shown_path(roots[part])} must have the same class folders as "
        f"{shown_path(roots[TRAIN])}; {'; '.join(differences)}.{case}{split}"
    )
