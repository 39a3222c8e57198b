"""Reject image folders with too few images of a class, or with too many unusable files."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from spaces.errors import DataError
from studies.data.dataset import Skipped
from studies.data.folders import ImageFile, Listing, SkippedFile, class_folders, describe_files
from studies.data.scanning import UNSUPPORTED, extension
from studies.data.split_names import SPLIT_NAMES, TEST, TRAIN, VALIDATION
from studies.data.stratify import check_enough
from studies.images.cache_entry import DecodedImages
from studies.images.messages import list_lines, printable_path

_MAX_LOST_OF_CLASS = 0.5
"""A class is rejected if it loses a larger fraction of its files than this and than max_skipped."""


def check_counts(listing: Listing, roots: Mapping[int, str]) -> None:
    """Raise `DataError` if a class has too few files, with what its folder contains instead of images."""
    for split, root in sorted(roots.items(), reverse=True):
        counts = np.bincount(listing.labels[listing.splits == split], minlength=len(listing.classes))
        empty = [listing.classes[label] for label in np.flatnonzero(counts == 0)]
        kinds = describe_files(path for name in empty for path in class_folders(root).get(name, ())) if empty else ""
        _check_enough(counts, split, roots, listing.classes, printable_path(root), kinds)


def check_decoded(found: DecodedImages, classes: Sequence[str], roots: Mapping[int, str]) -> None:
    """Raise `DataError` if a class has lost too many images because they are unreadable or duplicates."""
    splits = np.repeat([TEST, VALIDATION, TRAIN], found.counts)
    if TEST not in roots:
        splits[splits == TEST] = TRAIN
    kept = np.ones(len(splits), bool)
    if len(roots) < len(SPLIT_NAMES):
        train = np.flatnonzero(splits == TRAIN)
        kept[np.setdiff1d(train, train[np.unique(found.exact_hashes[train], return_index=True)[1]])] = False
    labels, splits = found.labels[kept], splits[kept]
    for split, root in sorted(roots.items(), reverse=True):
        counts = np.bincount(labels[splits == split], minlength=len(classes))
        where = f"{printable_path(root)} (without unreadable files and duplicates)"
        _check_enough(counts, split, roots, classes, where)


def check_skipped(skipped: Sequence[Skipped], files: int, max_skipped: float, where: str) -> None:
    """Raise `DataError` if too many files were left out, with the names of the first few."""
    if len(skipped) > max_skipped * files or len(skipped) == files > 0:
        _reject(skipped, files, max_skipped, printable_path(where))


def check_skipped_by_split(
    skipped: Sequence[SkippedFile], listing: Listing, max_skipped: float, roots: Mapping[int, str]
) -> None:
    """Raise `DataError` if the data set, a split or a class has lost too many of all its files."""
    all_files: list[ImageFile | SkippedFile] = [*listing.files, *listing.skipped]
    check_skipped([file.to_skipped for file in skipped], len(all_files), max_skipped, roots[TRAIN])
    in_split, in_class = (
        Counter(file.split for file in all_files),
        Counter((file.split, file.label) for file in all_files),
    )
    for split, lost in sorted(Counter(file.split for file in skipped).items()):
        # A single file may be a large fraction of a small split.
        if lost > max(1, max_skipped * in_split[split]):
            of_split = [file.to_skipped for file in skipped if file.split == split]
            _reject(of_split, in_split[split], max_skipped, printable_path(roots[split]))
    for (split, label), lost in sorted(Counter((file.split, file.label) for file in skipped).items()):
        files, root = in_class[split, label], printable_path(roots[split])
        of_class = [file.to_skipped for file in skipped if (file.split, file.label) == (split, label)]
        if lost == files:
            raise DataError(
                f"{root}: no images of class {listing.classes[label]!r}: none of its {files} files can be used:"
                f"{_list_files(of_class)}\nhint: remove or replace them, or remove the class"
            )
        if lost > max(1, max_skipped * files) and lost > _MAX_LOST_OF_CLASS * files:
            _reject(of_class, files, max_skipped, f"class {listing.classes[label]!r} in {root}")


def _reject(skipped: Sequence[Skipped], files: int, max_skipped: float, where: str) -> None:
    raise DataError(
        f"{len(skipped)} of {files} files of {where} cannot be used (limit: {max_skipped:.0%}, "
        f"max_skipped={max_skipped:g}):{_list_files(skipped)}\n"
        f"hint: {_conversion_hint(skipped)}remove or replace them, or increase max_skipped"
    )


def _conversion_hint(skipped: Sequence[Skipped]) -> str:
    """Return what to do about files of unsupported types, if there are any."""
    kinds = Counter(kind for path, _ in skipped if (kind := extension(path.strip("'"))) in UNSUPPORTED)
    named = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common(5))
    return f"convert files of unsupported types to PNG or JPEG ({named}), " if kinds else ""


def _list_files(skipped: Sequence[Skipped]) -> str:
    return list_lines([f"{path}: {reason}" for path, reason in skipped])


def _check_enough(
    counts: np.ndarray, split: int, roots: Mapping[int, str], classes: Sequence[str], where: str, kinds: str = ""
) -> None:
    split_off = [SPLIT_NAMES[other] for other in (VALIDATION, TEST) if other not in roots]
    check_enough(counts.tolist(), classes, split_off if split == TRAIN else None, where, kinds)
