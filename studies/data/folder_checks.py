"""Refuses image folders with too few images of a class, or with too many files that cannot be used."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from spaces.errors import DataError
from studies.data.dataset import Skipped
from studies.data.folders import ImageFile, Listing, SkippedFile, class_folders, kinds_below
from studies.data.scanning import UNSUPPORTED, extension
from studies.data.split_names import PARTS, TEST, TRAIN, VALIDATION
from studies.data.stratify import check_enough
from studies.images.cache_entry import DecodedImages
from studies.images.decoding import shown_path

_NAMED_FILES = 5
_MOST_OF_A_CLASS = 0.5
"""A class that loses more of its files than that, and than max_skipped, is refused."""


def check_counts(listing: Listing, roots: Mapping[int, str]) -> None:
    """Raise `DataError` where a class has too few files; of one without images, say what its folder holds."""
    for part, root in sorted(roots.items(), reverse=True):
        counts = np.bincount(listing.labels[listing.parts == part], minlength=len(listing.classes))
        empty = [listing.classes[label] for label in np.flatnonzero(counts == 0)]
        kinds = kinds_below(path for name in empty for path in class_folders(root).get(name, ())) if empty else ""
        _check_enough(counts, part, roots, listing.classes, shown_path(root), kinds)


def check_decoded(found: DecodedImages, classes: Sequence[str], roots: Mapping[int, str]) -> None:
    """Raise `DataError` where a class has lost too many images to unreadable files, or to another part."""
    parts = np.repeat([TEST, VALIDATION, TRAIN], found.counts)
    if TEST not in roots:
        parts[parts == TEST] = TRAIN
    kept = np.ones(len(parts), bool)
    if len(roots) < len(PARTS):
        train = np.flatnonzero(parts == TRAIN)
        kept[np.setdiff1d(train, train[np.unique(found.pictures[train], return_index=True)[1]])] = False
    labels, parts = found.labels[kept], parts[kept]
    for part, root in sorted(roots.items(), reverse=True):
        counts = np.bincount(labels[parts == part], minlength=len(classes))
        where = f"{shown_path(root)} (without unreadable files and images that equal others)"
        _check_enough(counts, part, roots, classes, where)


def check_skipped(skipped: Sequence[Skipped], files: int, share: float, where: str) -> None:
    """Raise `DataError` where too many files were left out, naming the first few."""
    if len(skipped) <= share * files and (len(skipped) < files or not files):
        return
    _refuse(skipped, files, share, shown_path(where))


def check_skipped_by_part(
    skipped: Sequence[SkippedFile], listing: Listing, share: float, roots: Mapping[int, str]
) -> None:
    """Raise `DataError` where a split or a class has lost too many files, however few they are of all.

    Args:
        skipped: The files that cannot be used.
        listing: All files, with those whose name already says that they cannot be used.
        share: Largest share of files that may be left out.
        roots: The folder of each split.
    """
    check_skipped([file.shown for file in skipped], len(listing.files) + len(listing.skipped), share, roots[TRAIN])
    every: list[ImageFile | SkippedFile] = [*listing.files, *listing.skipped]
    in_part, in_class = Counter(file.part for file in every), Counter((file.part, file.label) for file in every)
    for part, lost in sorted(Counter(file.part for file in skipped).items()):
        # One file of a small split is no share of anything.
        if lost > max(1, share * in_part[part]):
            of_part = [file.shown for file in skipped if file.part == part]
            _refuse(of_part, in_part[part], share, shown_path(roots[part]))
    for (part, label), lost in sorted(Counter((file.part, file.label) for file in skipped).items()):
        files = in_class[part, label]
        of_class = [file.shown for file in skipped if (file.part, file.label) == (part, label)]
        if lost == files:
            raise DataError(
                f"{shown_path(roots[part])}: class {listing.classes[label]!r} without any image: none of its {files} "
                f"files can be used:{_first(of_class)}\nRemove or replace them, or remove the class."
            )
        if lost > max(1, share * files) and lost > _MOST_OF_A_CLASS * files:
            _refuse(of_class, files, share, f"class {listing.classes[label]!r} in {shown_path(roots[part])}")


def _refuse(skipped: Sequence[Skipped], files: int, share: float, where: str) -> None:
    raise DataError(
        f"{len(skipped)} of the {files} files of {where} cannot be used; at most {share:.0%} may be left out "
        f"(max_skipped={share:g}):{_first(skipped)}\n{_advice(skipped)}Remove or replace them, or allow more."
    )


def _advice(skipped: Sequence[Skipped]) -> str:
    """What to do about files of unsupported types, if there are any."""
    kinds = Counter(kind for path, _ in skipped if (kind := extension(path.strip("'"))) in UNSUPPORTED)
    named = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common(_NAMED_FILES))
    return f"Convert files of unsupported types to PNG or JPEG ({named}). " if kinds else ""


def _first(skipped: Sequence[Skipped]) -> str:
    """The first few files, a line each."""
    first = "".join(f"\n  {path}: {reason}" for path, reason in skipped[:_NAMED_FILES])
    more = f"\n  and {len(skipped) - _NAMED_FILES} more" if len(skipped) > _NAMED_FILES else ""
    return first + more


def _check_enough(
    counts: np.ndarray, part: int, roots: Mapping[int, str], classes: Sequence[str], where: str, kinds: str = ""
) -> None:
    split_off = [PARTS[part] for part in (VALIDATION, TEST) if part not in roots]
    check_enough(counts.tolist(), classes, split_off if part == TRAIN else None, where, kinds)
