"""Load a folder of class folders: decode it once and cut it into the three splits."""

import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeGuard

import numpy as np

from spaces.data import ImageFolder
from spaces.errors import DataError
from studies.data import folders
from studies.data.cached_images import load_images
from studies.data.class_checks import case_notices
from studies.data.dataset import Dataset, Skipped, Split
from studies.data.duplicates import Duplicates, summarize_overlap
from studies.data.folder_checks import check_counts, check_decoded, check_skipped, check_skipped_by_split
from studies.data.folder_layout import Layout, enter_wrappers, find_layout, find_sibling_split
from studies.data.folders import ImageFile, SkippedFile
from studies.data.image_request import ImageRequest
from studies.data.label_conflicts import conflict_notices
from studies.data.scanning import list_subfolders
from studies.data.split_names import SPLIT_NAMES, TEST, TRAIN, VALIDATION
from studies.data.stratify import head_end
from studies.data.streamed_images import stream_images
from studies.images.cache_entry import DecodedImages
from studies.images.decoding import ImageFormat, header_size, quiet_pillow
from studies.images.lazy_images import select_rows
from studies.images.messages import printable_path
from studies.images.parallel_decode import DecodeTask, ProgressCallback, decode_files

TEST_FRACTION = 0.2
"""Fraction of the images that is held out if there is no test folder."""

BESIDE_TRAIN = "folder"
"""The value of `validation` that means the folder next to the training folder."""

_MAX_SIDE, _MIN_SIDE = 128, 4
_SAMPLED_FILES = 256


def load_image_folder(
    data: ImageFolder, folder: Path, cache: Path | None = None, progress: ProgressCallback | None = None
) -> Dataset:
    """Load the splits of an image folder; the arguments are those of `studies.data.sources.load`.

    Raises:
        DataError: The folders or too many of the files cannot be used.
    """
    layout = resolve_layout(data, folder)
    roots = layout.roots
    listing = folders.list_images(roots, data.classes)
    check_counts(listing, roots)
    form = ImageFormat(*(_as_pair(data.image_size) or median_sides(listing.files)), data.channels, data.resize)
    test_fraction = data.test if isinstance(data.test, float) else TEST_FRACTION
    request = ImageRequest(listing, roots, form, None if TEST in roots else test_fraction)
    found = load_images(request, cache, progress) if data.cache else stream_images(request, data.max_skipped, progress)
    skipped = sorted([*listing.skipped, *_unreadable_files(listing, found.problems)])
    check_skipped_by_split(skipped, listing, data.max_skipped, roots)
    check_decoded(found.images, listing.classes, roots)
    fraction = data.validation if isinstance(data.validation, float) and VALIDATION not in roots else None
    splits = _cut_splits(found.images, listing.classes, fraction)
    duplicates = _summarize_duplicates(found.images, splits, listing.files)
    conflicts = _conflict_notices(found.images, listing)
    left_out = sorted([*(file.to_skipped for file in skipped), *listing.unused])
    return Dataset(
        *splits,
        listing.classes,
        tuple(left_out),
        data.resize,
        duplicates,
        (*layout.notices, *case_notices(listing.classes), *conflicts),
        has_own_validation=VALIDATION in roots,
    )


def read_labelled_folder(
    folder: Path,
    classes: Sequence[str],
    image_shape: tuple[int, int, int],
    resize: str = "stretch",
    max_skipped: float = 0.5,
) -> tuple[Split, tuple[Skipped, ...]]:
    """Read a folder of class folders to evaluate a trained model on, without the cache.

    Args:
        folder: Folder whose sub-folders are named like the classes; some classes may be missing.
        image_shape: (height, width, channels) of the model's images.
        resize: `stretch`, `crop` or `pad`.

    Returns:
        The images in the order of their names, and the files that were left out.

    Raises:
        DataError: A class folder is unknown, there are no images, or too many files cannot be read.
    """
    root = folders.resolve_path(folder, Path.cwd())
    folders.require_folder(root, folder, Path.cwd())
    listing = folders.list_labelled_images(root, classes)
    images = np.empty((len(listing.files), *image_shape), np.uint8)
    tasks = [DecodeTask(row, file.path) for row, file in enumerate(listing.files)]
    found = decode_files(tasks, images, ImageFormat(*image_shape, resize))
    problems = [(file.path, result.problem) for file, result in zip(listing.files, found, strict=True)]
    unreadable = [Skipped(printable_path(path), problem) for path, problem in problems if problem]
    skipped = [*(file.to_skipped for file in listing.skipped), *unreadable]
    check_skipped(skipped, len(listing.files) + len(listing.skipped), max_skipped, root)
    kept = np.flatnonzero([problem is None for _, problem in problems])
    split = Split(images if len(kept) == len(images) else images[kept], listing.labels[kept])
    return split, (*skipped, *listing.unused)


def resolve_layout(data: ImageFolder, folder: Path) -> Layout:
    """Return the folder of each split that has one.

    If `test` is a folder or `classes` is set, the folders are used as they are.

    Raises:
        DataError: A folder is missing, is a file, cannot be read, is used for two splits, or is ambiguous.
    """
    train = _require_existing(data.train, folder)
    notices: list[str] = []
    if _is_folder(data.test) or data.classes is not None:
        roots = {TRAIN: train if data.classes is not None else enter_wrappers(train, notices)}
    else:
        layout = find_layout(train, with_test=data.test is None)
        roots, notices = layout.roots, list(layout.notices)
    if _is_folder(data.test):
        roots[TEST] = enter_wrappers(_require_labelled(data.test, folder), notices)
    elif data.test is None and TEST not in roots:
        sibling = find_sibling_split(train, roots[TRAIN], TEST)
        roots |= sibling.roots
        notices += sibling.notices
    if data.validation == BESIDE_TRAIN:
        roots[VALIDATION] = roots.get(VALIDATION) or _validation_beside(train, roots[TRAIN])
    elif _is_folder(data.validation):
        roots[VALIDATION] = enter_wrappers(_require_labelled(data.validation, folder), notices)
    _check_distinct(roots)
    return Layout(dict(sorted(roots.items())), tuple(notices))


def median_sides(files: Sequence[ImageFile]) -> tuple[int, int]:
    """Return (height, width): the median side of a sample of the training images, from 4 to 128 pixels."""
    train = [file for file in files if file.split == TRAIN]
    step = max(1, len(train) // _SAMPLED_FILES)
    with quiet_pillow():
        sizes = [size for file in train[::step] if (size := header_size(file.path)) is not None]
    if not sizes:
        return _MAX_SIDE, _MAX_SIDE
    side = min(_MAX_SIDE, max(_MIN_SIDE, int(np.median(sizes))))
    return side, side


def _validation_beside(path: str, train: str) -> str:
    sibling = find_sibling_split(path, train, VALIDATION).roots.get(VALIDATION)
    if sibling is None:
        raise DataError(
            f"validation={BESIDE_TRAIN!r} expects validation/, val/ or valid/ with class folders next to "
            f"{printable_path(train)}\nhint: create one, or pass a path or a fraction such as 0.2"
        )
    return sibling


def _is_folder(value: float | str | os.PathLike[str] | None) -> TypeGuard[str | os.PathLike[str]]:
    return isinstance(value, str | os.PathLike)


def _require_existing(path: str | os.PathLike[str], folder: Path) -> str:
    found = folders.resolve_path(path, folder)
    folders.require_folder(found, path, folder)
    return found


def _require_labelled(path: str | os.PathLike[str], folder: Path) -> str:
    found = _require_existing(path, folder)
    if not list_subfolders(found):
        raise DataError(
            f"{printable_path(found)} has no class folders, so its images have no labels\nhint: put the images of each "
            "class in a sub-folder, or hold out training images: test=0.2 (--test 0.2) or validation=0.2"
        )
    return found


def _check_distinct(roots: Mapping[int, str]) -> None:
    for (split, path), (other, other_path) in itertools.combinations(sorted(roots.items()), 2):
        if Path(path).resolve() == Path(other_path).resolve():
            raise DataError(
                f"{SPLIT_NAMES[split]} and {SPLIT_NAMES[other]} use the same folder {printable_path(path)}\n"
                "hint: training images cannot judge the model: use different folders, or leave one out"
            )


def _unreadable_files(listing: folders.Listing, problems: Mapping[str, str]) -> list[SkippedFile]:
    found = [(file, problems.get(file.path)) for file in listing.files]
    return [SkippedFile(file.path, file.split, file.label, reason) for file, reason in found if reason is not None]


def _as_pair(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    return (size, size) if isinstance(size, int) else size


def _cut_splits(found: DecodedImages, classes: Sequence[str], fraction: float | None) -> tuple[Split, Split, Split]:
    """Return the training, validation and test images without copying them."""
    tests, validations, _ = found.counts
    if fraction is not None:
        validations = head_end(fraction, found.exact_hashes[tests:], len(classes))
    test, validation, train = (
        Split(select_rows(found.images, rows), found.labels[rows], found.exact_hashes[rows])
        for rows in (slice(tests), slice(tests, tests + validations), slice(tests + validations, None))
    )
    return train, validation, test


def _conflict_notices(found: DecodedImages, listing: folders.Listing) -> tuple[str, ...]:
    """Return notices about duplicates in several classes, including those that were left out of a split."""
    hashes = np.zeros(len(listing.files), np.uint64)
    hashes[found.files] = found.exact_hashes
    hashes[found.left_out[:, 0]] = hashes[found.left_out[:, 1]]
    read = np.concatenate([found.files, found.left_out[:, 0]])

    def name(row: int) -> str:
        return printable_path(listing.files[read[row]].path)

    return conflict_notices(hashes[read], listing.labels[read], name, listing.classes)


def _summarize_duplicates(
    found: DecodedImages, splits: tuple[Split, Split, Split], files: Sequence[ImageFile]
) -> Duplicates:
    by_name = dict(zip(SPLIT_NAMES, reversed(splits), strict=True))
    starts = {"test": 0, "validation": found.counts[0], "train": len(splits[2]) + len(splits[1])}
    hashes = {name: found.perceptual_hashes[starts[name] :][: len(split)] for name, split in by_name.items()}
    left_out: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for a, b in found.left_out.tolist():
        pair = SPLIT_NAMES[files[a].split], SPLIT_NAMES[files[b].split]
        left_out.setdefault(pair, []).append((printable_path(files[a].path), printable_path(files[b].path)))

    def image_name(split: str, row: int) -> str:
        return printable_path(files[found.files[starts[split] + row]].path)

    return summarize_overlap({name: split.images for name, split in by_name.items()}, hashes, image_name, left_out)
