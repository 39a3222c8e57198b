"""A folder of class folders: decoded once, and cut into the three splits."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from spaces.data import ImageFolder
from spaces.errors import DataError
from studies.data import folders
from studies.data.decoded import decoded_images
from studies.data.decoding import Form, header_size, quiet_pillow, shown
from studies.data.duplicates import Duplicates, summed_up
from studies.data.entry import DecodedImages
from studies.data.folders import PARTS, TEST, TRAIN, VALIDATION, ImageFile
from studies.data.lazy import part_of
from studies.data.parallel import Job, Progress, decode_files
from studies.data.splits import Dataset, Skipped, Split
from studies.data.splitting import check_enough, head_end
from studies.data.undecoded import undecoded_images
from studies.data.wanted import Wanted

TEST_SHARE = 0.2
"""Share of the images that is kept aside where no test folder is given."""

BESIDE_TRAIN = "folder"
"""The value of `validation` that means the folder beside the training folder."""

_LARGEST_MEDIAN, _SMALLEST_SIDE = 128, 4
_SAMPLED_FILES = 256


def load_image_folder(
    data: ImageFolder, folder: Path, cache: Path | None = None, progress: Progress | None = None
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
    roots = split_roots(data, folder)
    listing = folders.listed(roots)
    _check_counts(listing.labels, listing.parts, listing.classes, roots)
    form = Form(*(_sides(data.image_size) or median_sides(listing.files)), data.channels, data.resize)
    wanted = Wanted(listing, roots, form, None if TEST in roots else TEST_SHARE)
    answer = decoded_images(wanted, cache, progress) if data.cache else undecoded_images(wanted, progress)
    skipped = sorted([*listing.skipped, *(Skipped(shown(path), reason) for path, reason in answer.problems.items())])
    check_skipped(skipped, len(listing.files) + len(listing.skipped), data.max_skipped, roots[TRAIN])
    _check_decoded(answer.images, listing.classes, roots)
    share = data.validation if isinstance(data.validation, float) and VALIDATION not in roots else None
    splits = _splits(answer.images, listing.classes, share)
    duplicates = _duplicates(answer.images, splits, listing.files) if data.cache else Duplicates(searched=False)
    return Dataset(*splits, listing.classes, tuple(skipped), data.resize, duplicates)


def read_labelled_folder(
    folder: Path,
    classes: Sequence[str],
    image_shape: tuple[int, int, int],
    resize: str = "stretch",
    max_skipped: float = 0.5,
    progress: Progress | None = None,
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
    jobs = [Job(row, file.path) for row, file in enumerate(listing.files)]
    found = decode_files(jobs, images, Form(*image_shape, resize), progress)
    problems = [(file.path, result.problem) for file, result in zip(listing.files, found, strict=True)]
    skipped = [*listing.skipped, *(Skipped(shown(path), problem) for path, problem in problems if problem)]
    check_skipped(skipped, len(listing.files) + len(listing.skipped), max_skipped, root)
    kept = np.flatnonzero([problem is None for _, problem in problems])
    labels = listing.labels
    return Split(images if len(kept) == len(images) else images[kept], labels[kept]), tuple(skipped)


def split_roots(data: ImageFolder, folder: Path) -> dict[int, str]:
    """The folder of each part that has one.

    Raises:
        DataError: A folder is missing, is a file, cannot be read, or stands for two parts.
    """
    train = _existing(data.train, folder)
    within = folders.parts_within(train)
    roots = within or {TRAIN: train}
    if data.test is not None:
        roots[TEST] = _existing(data.test, folder)
    elif TEST not in roots and (beside := folders.beside_train(roots[TRAIN], TEST)) is not None:
        roots[TEST] = beside
    if data.validation == BESIDE_TRAIN:
        roots.setdefault(VALIDATION, _validation_beside(roots[TRAIN]))
    elif isinstance(data.validation, str | os.PathLike):
        roots[VALIDATION] = _existing(data.validation, folder)
    _check_distinct(roots)
    return dict(sorted(roots.items()))


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


def check_skipped(skipped: Sequence[Skipped], files: int, share: float, where: str) -> None:
    """Raise `DataError` where too many files were left out, naming the first few."""
    if len(skipped) <= share * files and (len(skipped) < files or not files):
        return
    first = "".join(f"\n  {path}: {reason}" for path, reason in skipped[:5])
    more = f"\n  and {len(skipped) - 5} more" if len(skipped) > 5 else ""
    raise DataError(
        f"{len(skipped)} of the {files} files of {shown(where)} cannot be used; at most {share:.0%} may be left out "
        f"(max_skipped={share:g}):{first}{more}\nRemove or replace them, or allow more."
    )


def _validation_beside(train: str) -> str:
    beside = folders.beside_train(train, VALIDATION)
    if beside is None:
        raise DataError(
            f"validation={BESIDE_TRAIN!r} needs a folder validation, val or valid beside a folder train, but there is "
            f"none beside {shown(train)}: make one, or give its path, or a share such as 0.2."
        )
    return beside


def _existing(path: str | os.PathLike[str], folder: Path) -> str:
    found = folders.absolute(path, folder)
    folders.require_folder(found, path, folder)
    return found


def _check_distinct(roots: Mapping[int, str]) -> None:
    real = {part: Path(path).resolve() for part, path in roots.items()}
    for part in (TEST, VALIDATION):
        for other in (VALIDATION, TRAIN):
            if part in real and other in real and part != other and real[part] == real[other]:
                raise DataError(
                    f"The {PARTS[part]} folder {shown(roots[part])} is the {PARTS[other]} folder too: "
                    "images that are trained on cannot judge the model. Give another folder, or none."
                )


def _sides(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    return (size, size) if isinstance(size, int) else size


def _check_counts(
    labels: np.ndarray, parts: np.ndarray, classes: Sequence[str], roots: Mapping[int, str], decoded: bool = False
) -> None:
    split_off = [PARTS[part] for part in (VALIDATION, TEST) if part not in roots]
    for part, root in sorted(roots.items(), reverse=True):
        counts = np.bincount(labels[parts == part], minlength=len(classes))
        where = shown(root) + (" (without unreadable files and images that equal others)" if decoded else "")
        check_enough(counts.tolist(), classes, split_off if part == TRAIN else None, where)


def _check_decoded(found: DecodedImages, classes: Sequence[str], roots: Mapping[int, str]) -> None:
    """A class may have lost its images to unreadable files, or to another part."""
    parts = np.repeat([TEST, VALIDATION, TRAIN], found.counts)
    if TEST not in roots:
        parts[parts == TEST] = TRAIN
    kept = np.ones(len(parts), bool)
    if len(roots) < len(PARTS):
        train = np.flatnonzero(parts == TRAIN)
        kept[np.setdiff1d(train, train[np.unique(found.pictures[train], return_index=True)[1]])] = False
    _check_counts(found.labels[kept], parts[kept], classes, roots, decoded=True)


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


def _duplicates(found: DecodedImages, splits: tuple[Split, Split, Split], files: Sequence[ImageFile]) -> Duplicates:
    train, validation, test = splits
    parts = {"test": test, "validation": validation, "train": train}
    starts = {"test": 0, "validation": len(test), "train": len(test) + len(validation)}
    looks = {part: found.looks[starts[part] :][: len(split)] for part, split in parts.items()}
    left_out: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for a, b in found.left_out.tolist():
        pair = PARTS[files[a].part], PARTS[files[b].part]
        left_out.setdefault(pair, []).append((shown(files[a].path), shown(files[b].path)))

    def name(part: str, row: int) -> str:
        return shown(files[found.files[starts[part] + row]].path)

    return summed_up({part: split.images for part, split in parts.items()}, looks, name, left_out)
