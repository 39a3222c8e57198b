"""A folder of class folders: decoded once, and cut into the three splits."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeGuard

import numpy as np

from spaces.data import ImageFolder
from spaces.errors import DataError
from studies.data import folders
from studies.data.cached_images import decoded_images
from studies.data.class_checks import notices_of_names
from studies.data.dataset import Dataset, Skipped, Split
from studies.data.duplicates import Duplicates, summarize_overlap
from studies.data.folder_checks import check_counts, check_decoded, check_skipped, check_skipped_by_part
from studies.data.folder_layout import Layout, beside_train, layout_of, without_wrappers
from studies.data.folders import ImageFile, SkippedFile
from studies.data.image_request import ImageRequest
from studies.data.label_conflicts import label_conflicts
from studies.data.scanning import subfolders
from studies.data.split_names import PARTS, TEST, TRAIN, VALIDATION
from studies.data.stratify import head_end
from studies.data.streamed_images import undecoded_images
from studies.images.cache_entry import DecodedImages
from studies.images.decoding import ImageFormat, header_size, quiet_pillow, shown_path
from studies.images.lazy_images import part_of
from studies.images.parallel_decode import DecodeTask, ProgressCallback, decode_files

TEST_SHARE = 0.2
"""Share of the images that is kept aside where no test folder is given."""

BESIDE_TRAIN = "folder"
"""The value of `validation` that means the folder beside the training folder."""

_LARGEST_MEDIAN, _SMALLEST_SIDE = 128, 4
_SAMPLED_FILES = 256


def load_image_folder(
    data: ImageFolder, folder: Path, cache: Path | None = None, progress: ProgressCallback | None = None
) -> Dataset:
    """The splits of an image folder.

    Args:
        data: The record.
        folder: Where relative paths start.
        cache: The cache folder; None takes SEARCH_CACHE or the user's cache folder.
        progress: Called with the files decoded and the files to decode.

    Raises:
        DataError: The folders or too many of the files cannot be used.
    """
    layout = split_layout(data, folder)
    roots = layout.roots
    listing = folders.listed(roots, data.classes)
    check_counts(listing, roots)
    form = ImageFormat(*(_sides(data.image_size) or median_sides(listing.files)), data.channels, data.resize)
    test_share = data.test if isinstance(data.test, float) else TEST_SHARE
    wanted = ImageRequest(listing, roots, form, None if TEST in roots else test_share)
    if data.cache:
        answer = decoded_images(wanted, cache, progress)
    else:
        answer = undecoded_images(wanted, data.max_skipped, progress)
    skipped = sorted([*listing.skipped, *_unreadable(listing, answer.problems)])
    check_skipped_by_part(skipped, listing, data.max_skipped, roots)
    check_decoded(answer.images, listing.classes, roots)
    share = data.validation if isinstance(data.validation, float) and VALIDATION not in roots else None
    splits = _splits(answer.images, listing.classes, share)
    duplicates = _duplicates(answer.images, splits, listing.files)
    conflicts = _conflicts(answer.images, listing)
    left_out = sorted([*(file.shown for file in skipped), *listing.unused])
    return Dataset(
        *splits,
        listing.classes,
        tuple(left_out),
        data.resize,
        duplicates,
        (*layout.notices, *notices_of_names(listing.classes), *conflicts),
    )


def read_labelled_folder(
    folder: Path,
    classes: Sequence[str],
    image_shape: tuple[int, int, int],
    resize: str = "stretch",
    max_skipped: float = 0.5,
    progress: ProgressCallback | None = None,
) -> tuple[Split, tuple[Skipped, ...]]:
    """The images of a folder of class folders, to evaluate a trained model on; not cached.

    Args:
        folder: Its sub-folders are named as the classes; some classes may be absent.
        classes: The classes of the model.
        image_shape: (height, width, channels) of the model's images.
        resize: `stretch`, `crop` or `pad`.
        max_skipped: Largest share of files that may be unreadable.
        progress: Called with the files done and the files in all.

    Returns:
        The images in the order of their names, and what was left out.

    Raises:
        DataError: A class folder is unknown, there are no images, or too many cannot be read.
    """
    root = folders.absolute(folder, Path.cwd())
    folders.require_folder(root, folder, Path.cwd())
    listing = folders.listed_as(root, classes)
    images = np.empty((len(listing.files), *image_shape), np.uint8)
    jobs = [DecodeTask(row, file.path) for row, file in enumerate(listing.files)]
    found = decode_files(jobs, images, ImageFormat(*image_shape, resize), progress)
    problems = [(file.path, result.problem) for file, result in zip(listing.files, found, strict=True)]
    unreadable = [Skipped(shown_path(path), problem) for path, problem in problems if problem]
    skipped = [*(file.shown for file in listing.skipped), *unreadable]
    check_skipped(skipped, len(listing.files) + len(listing.skipped), max_skipped, root)
    kept = np.flatnonzero([problem is None for _, problem in problems])
    labels = listing.labels
    left_out = (*skipped, *listing.unused)
    return Split(images if len(kept) == len(images) else images[kept], labels[kept]), left_out


def split_layout(data: ImageFolder, folder: Path) -> Layout:
    """The folder of each part that has one.

    Where `test` names a folder, or `classes` the classes, the folders are taken as they are named.

    Raises:
        DataError: A folder is missing, is a file, cannot be read, stands for two parts, or can be read in two ways.
    """
    train = _existing(data.train, folder)
    notices: list[str] = []
    if _is_folder(data.test) or data.classes is not None:
        roots = {TRAIN: train if data.classes is not None else without_wrappers(train, notices)}
    else:
        layout = layout_of(train, with_test=data.test is None)
        roots, notices = layout.roots, list(layout.notices)
    if _is_folder(data.test):
        roots[TEST] = without_wrappers(_labelled(data.test, folder), notices)
    elif data.test is None and TEST not in roots:
        beside = beside_train(train, roots[TRAIN], TEST)
        roots |= beside.roots
        notices += beside.notices
    if data.validation == BESIDE_TRAIN:
        roots[VALIDATION] = roots.get(VALIDATION) or _validation_beside(train, roots[TRAIN])
    elif _is_folder(data.validation):
        roots[VALIDATION] = without_wrappers(_labelled(data.validation, folder), notices)
    _check_distinct(roots)
    return Layout(dict(sorted(roots.items())), tuple(notices))


def median_sides(files: Sequence[ImageFile]) -> tuple[int, int]:
    """The median side of a sample of the training images as a square, from 4 to 128 pixels."""
    train = [file for file in files if file.part == TRAIN]
    step = max(1, len(train) // _SAMPLED_FILES)
    with quiet_pillow():
        sizes = [size for file in train[::step] if (size := header_size(file.path)) is not None]
    if not sizes:
        return _LARGEST_MEDIAN, _LARGEST_MEDIAN
    side = min(_LARGEST_MEDIAN, max(_SMALLEST_SIDE, int(np.median(sizes))))
    return side, side


def _validation_beside(path: str, train: str) -> str:
    beside = beside_train(path, train, VALIDATION).roots.get(VALIDATION)
    if beside is None:
        raise DataError(
            f"validation={BESIDE_TRAIN!r} needs a folder validation, val or valid with class folders beside a folder "
            f"train, but there is none beside {shown_path(train)}: make one, or give its path, or a share such as 0.2."
        )
    return beside


def _is_folder(value: float | str | os.PathLike[str] | None) -> TypeGuard[str | os.PathLike[str]]:
    return isinstance(value, str | os.PathLike)


def _existing(path: str | os.PathLike[str], folder: Path) -> str:
    found = folders.absolute(path, folder)
    folders.require_folder(found, path, folder)
    return found


def _labelled(path: str | os.PathLike[str], folder: Path) -> str:
    found = _existing(path, folder)
    if not subfolders(found):
        raise DataError(
            f"{shown_path(found)} has no class folders, so its images have no labels. Put the images of each class in "
            "a sub-folder of it, or split images off: test=0.2 (--test 0.2) or validation=0.2."
        )
    return found


def _check_distinct(roots: Mapping[int, str]) -> None:
    real = {part: Path(path).resolve() for part, path in roots.items()}
    for part in (TEST, VALIDATION):
        for other in (VALIDATION, TRAIN):
            if part in real and other in real and part != other and real[part] == real[other]:
                raise DataError(
                    f"The {PARTS[part]} folder {shown_path(roots[part])} is the {PARTS[other]} folder too: "
                    "images that are trained on cannot judge the model. Give another folder, or none."
                )


def _unreadable(listing: folders.Listing, problems: Mapping[str, str]) -> list[SkippedFile]:
    found = [(file, problems.get(file.path)) for file in listing.files]
    return [SkippedFile(file.path, file.part, file.label, reason) for file, reason in found if reason is not None]


def _sides(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    return (size, size) if isinstance(size, int) else size


def _splits(found: DecodedImages, classes: Sequence[str], share: float | None) -> tuple[Split, Split, Split]:
    """Training, validation and test images, without a copy."""
    tests, validations, _ = found.counts
    if share is not None:
        validations = head_end(share, found.pictures[tests:], len(classes))
    test, validation, train = (
        Split(part_of(found.images, rows), found.labels[rows], found.pictures[rows])
        for rows in (slice(tests), slice(tests, tests + validations), slice(tests + validations, None))
    )
    return train, validation, test


def _conflicts(found: DecodedImages, listing: folders.Listing) -> tuple[str, ...]:
    """Equal images of several classes, also those that were left out of a part."""
    pictures = np.zeros(len(listing.files), np.uint64)
    pictures[found.files] = found.pictures
    pictures[found.left_out[:, 0]] = pictures[found.left_out[:, 1]]
    read = np.concatenate([found.files, found.left_out[:, 0]])

    def name(row: int) -> str:
        return shown_path(listing.files[read[row]].path)

    return label_conflicts(pictures[read], listing.labels[read], name, listing.classes)


def _duplicates(found: DecodedImages, splits: tuple[Split, Split, Split], files: Sequence[ImageFile]) -> Duplicates:
    train, validation, test = splits
    parts = {"test": test, "validation": validation, "train": train}
    starts = {"test": 0, "validation": len(test), "train": len(test) + len(validation)}
    looks = {part: found.looks[starts[part] :][: len(split)] for part, split in parts.items()}
    left_out: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for a, b in found.left_out.tolist():
        pair = PARTS[files[a].part], PARTS[files[b].part]
        left_out.setdefault(pair, []).append((shown_path(files[a].path), shown_path(files[b].path)))

    def name(part: str, row: int) -> str:
        return shown_path(files[found.files[starts[part] + row]].path)

    return summarize_overlap({part: split.images for part, split in parts.items()}, looks, name, left_out)
