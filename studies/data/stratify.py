"""Stratified splits that are always the same: an order of images whose head is split off.

Every head of this order contains the classes in their proportions. A split is then a slice of one array, so that
memory-mapped images are shared by all processes and never copied, and train plus validation is one slice again.

Arguments of the functions:
    labels: (n,) classes.
    ranks: (n,) numbers that order the images within their class and break ties.
    hashes: (n,) hash of the pixels of each image, equal for duplicates.
"""

from collections.abc import Sequence

import numpy as np

from spaces.errors import DataError
from studies.images.messages import quote_names

_SEED = 20_170_711
"""Seed of all splits, independent of the seed of the study, so that trials and studies are comparable."""

Counts = tuple[int, int, int]
"""Number of images of the test, validation and training split."""


class DuplicateGroups:
    """Groups of duplicates, each of which stays in one split."""

    def __init__(self, hashes: np.ndarray, ranks: np.ndarray) -> None:
        self._members = np.lexsort((ranks, hashes))
        found = hashes[self._members]
        self._starts = np.flatnonzero(np.r_[np.ones(min(1, len(found)), bool), found[1:] != found[:-1]])
        self._sizes = np.diff(np.r_[self._starts, len(found)])
        self.firsts: np.ndarray = self._members[self._starts]
        """(groups,) first image of each group."""

    def members(self, groups: np.ndarray) -> np.ndarray:
        """Return all images of the groups, with those of a group next to each other."""
        sizes = self._sizes[groups]
        within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        members: np.ndarray = self._members[np.repeat(self._starts[groups], sizes) + within]
        return members


def shuffled_ranks(images: int) -> np.ndarray:
    """Return a shuffled rank for each image, always the same."""
    return np.random.default_rng(_SEED).permutation(images)


def stratified_groups(labels: np.ndarray, ranks: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """Return the (n,) positions in an order whose heads are stratified, with duplicates next to each other."""
    groups = DuplicateGroups(hashes, ranks)
    return groups.members(stratified_order(labels[groups.firsts], ranks[groups.firsts]))


def stratified_order(labels: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Return the (n,) positions in the stratified order of images without duplicates.

    The r-th image (by rank) of a class of n images is placed at (r + 1/2) / n of the order. The first image of each
    class precedes all others and the last follows all others, so that no class is missing from a head or its rest.
    """
    by_class = np.lexsort((ranks, labels))
    counts = np.bincount(labels)
    within = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    of_class = np.repeat(counts, counts)
    places = (within + 0.5) / of_class
    places[within == of_class - 1] = 2
    places[within == 0] = -1
    return by_class[np.lexsort((ranks[by_class], places))]


def head_length(fraction: float, images: int, classes: int) -> int:
    """Return the size of a fraction of the images, with at least one image of each class on either side."""
    return min(max(round(fraction * images), classes), images - classes)


def head_end(fraction: float, hashes: np.ndarray, classes: int) -> int:
    """Return where a fraction of the images ends, without separating duplicates, which are next to each other."""
    starts = np.flatnonzero(np.r_[True, hashes[1:] != hashes[:-1]])
    return int(starts[head_length(fraction, len(starts), classes)])


def split_off(
    labels: np.ndarray, ranks: np.ndarray, fraction: float, hashes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of the fraction of images that is split off, and of the rest; duplicates stay together."""
    groups = DuplicateGroups(hashes, ranks)
    labels, ranks = labels[groups.firsts], ranks[groups.firsts]
    order = stratified_order(labels, ranks)
    length = head_length(fraction, len(labels), len(np.unique(labels)))
    head, rest = order[:length], order[length:]
    return groups.members(head), groups.members(rest[stratified_order(labels[rest], ranks[rest])])


def storage_order(
    splits: np.ndarray, labels: np.ndarray, ranks: np.ndarray, test_fraction: float | None, hashes: np.ndarray
) -> tuple[np.ndarray, Counts]:
    """Return the order in which images are stored: test, validation, training, each in stratified order.

    Args:
        splits: (n,) 0 for test, 1 for validation, 2 for training.
        test_fraction: Fraction of the training images that becomes the test split; None if there is one.

    Returns:
        (n,) positions, and the number of images of each split.
    """
    test, validation, train = (np.flatnonzero(splits == split) for split in range(3))

    def ordered(rows: np.ndarray) -> np.ndarray:
        return np.take(rows, stratified_groups(labels[rows], ranks[rows], hashes[rows]))

    if test_fraction is None:
        test, train = ordered(test), ordered(train)
    else:
        head, rest = split_off(labels[train], ranks[train], test_fraction, hashes[train])
        test, train = train[head], train[rest]
    validation = ordered(validation)
    return np.concatenate([test, validation, train]), (len(test), len(validation), len(train))


def deduplicate_labels(labels: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """Return the labels of one image of each group of duplicates."""
    return np.take(labels, np.unique(hashes, return_index=True)[1])


def check_enough(
    counts: Sequence[int], classes: Sequence[str], split_off: Sequence[str] | None, where: str, kinds: str = ""
) -> None:
    """Raise `DataError` if there are fewer than two classes, or a class has too few images.

    Args:
        split_off: Splits to be split off these images: `validation`, `test`; None for images that are not trained on,
            of which one per class is enough.
        kinds: Description of the files of an empty class, for the message.
    """
    if len(classes) < 2:
        raise DataError(f"{where}: only one class, {classes[0]!r}; a classifier needs at least two")
    empty = [name for name, count in zip(classes, counts, strict=True) if count == 0]
    if empty:
        raise DataError(
            f"{where}: no images of {describe_classes(empty)}{kinds}\nhint: add images, or remove the class"
        )
    needed = 1 if split_off is None else max(2, 1 + len(split_off))
    small = [f"{name!r} has {count}" for name, count in zip(classes, counts, strict=True) if count < needed]
    if small:
        uses = ["training", *(split_off or ())]
        raise DataError(
            f"{where}: every class needs at least {needed} images (for {_join_words(uses)}), but {', '.join(small[:5])}"
            "\nhint: add images, or remove the class"
        )


def describe_classes(classes: Sequence[str]) -> str:
    """Return the number of classes and the first few names."""
    names = quote_names(classes)
    return f"class {names}" if len(classes) == 1 else f"{len(classes)} classes ({names})"


def _join_words(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
