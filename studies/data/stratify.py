"""Splits that are stratified and always the same: an order of images whose head is the part split off.

Images are put in an order whose every head holds the classes in their proportions. A part that is split off is then a
slice of one array, so that memory-mapped images are shared by all processes and never copied, and training plus
validation is one slice again.
"""

from collections.abc import Sequence

import numpy as np

from spaces.errors import DataError

_SEED = 20_170_711
"""Of all splits, whatever the seed of the study, so that trials and studies can be compared."""

Counts = tuple[int, int, int]
"""How many images are of the test, the validation and the training part."""


class DuplicateGroups:
    """Images in groups of equal pictures, which are split as one.

    Args:
        pictures: (n,) hash of each picture.
        ranks: (n,) numbers in whose order images stand in their group.
    """

    def __init__(self, pictures: np.ndarray, ranks: np.ndarray) -> None:
        self._members = np.lexsort((ranks, pictures))
        found = pictures[self._members]
        self._starts = np.flatnonzero(np.r_[np.ones(min(1, len(found)), bool), found[1:] != found[:-1]])
        self._sizes = np.diff(np.r_[self._starts, len(found)])

    @property
    def firsts(self) -> np.ndarray:
        """(groups,) the first image of each group."""
        firsts: np.ndarray = self._members[self._starts]
        return firsts

    def whole(self, groups: np.ndarray) -> np.ndarray:
        """All images of some groups, side by side."""
        sizes = self._sizes[groups]
        within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        members: np.ndarray = self._members[np.repeat(self._starts[groups], sizes) + within]
        return members


def shuffled_ranks(images: int) -> np.ndarray:
    """A random number for each of so many images, always the same."""
    return np.random.default_rng(_SEED).permutation(images)


def stratified(labels: np.ndarray, ranks: np.ndarray, pictures: np.ndarray | None = None) -> np.ndarray:
    """An order in which every head has the classes in their proportions, with equal pictures side by side.

    Args:
        labels: (n,) classes.
        ranks: (n,) numbers that order the images within their class and break ties.
        pictures: (n,) hash of each picture; None where all are taken as different.

    Returns:
        (n,) positions.
    """
    if pictures is None:
        return stratified_order(labels, ranks)
    groups = DuplicateGroups(pictures, ranks)
    return groups.whole(stratified_order(labels[groups.firsts], ranks[groups.firsts]))


def stratified_order(labels: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """The stratified order of pictures that are all different.

    The r-th image (by rank) of a class of n stands at (r + 1/2) / n of the way. The first of each class comes before
    all others and the last after all others, so that no class is absent from a head or from its rest.

    Args:
        labels: (n,) classes.
        ranks: (n,) numbers that order the images within their class and break ties.

    Returns:
        (n,) positions.
    """
    by_class = np.lexsort((ranks, labels))
    counts = np.bincount(labels)
    within = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    of_class = np.repeat(counts, counts)
    places = (within + 0.5) / of_class
    places[within == of_class - 1] = 2
    places[within == 0] = -1
    return by_class[np.lexsort((ranks[by_class], places))]


def head_length(share: float, images: int, classes: int) -> int:
    """How many images a share is; at least one for each class on either side."""
    return min(max(round(share * images), classes), images - classes)


def head_end(share: float, pictures: np.ndarray, classes: int) -> int:
    """Where a share of the images ends, so that equal pictures, which are neighbours, stay on one side."""
    starts = np.flatnonzero(np.r_[True, pictures[1:] != pictures[:-1]])
    return int(starts[head_length(share, len(starts), classes)])


def split_off(
    labels: np.ndarray, ranks: np.ndarray, share: float, pictures: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the images that are split off, and of the rest in stratified order; equal pictures stay together.

    Args:
        labels: (n,) classes.
        ranks: (n,) numbers that order the images within their class and break ties.
        share: Share of the images that is split off.
        pictures: (n,) hash of each picture; None where all are taken as different.
    """
    groups = DuplicateGroups(np.arange(len(labels)) if pictures is None else pictures, ranks)
    labels, ranks = labels[groups.firsts], ranks[groups.firsts]
    order = stratified_order(labels, ranks)
    length = head_length(share, len(labels), len(np.unique(labels)))
    head, rest = order[:length], order[length:]
    return groups.whole(head), groups.whole(rest[stratified_order(labels[rest], ranks[rest])])


def arranged(
    parts: np.ndarray,
    labels: np.ndarray,
    ranks: np.ndarray,
    test_share: float | None,
    pictures: np.ndarray | None = None,
) -> tuple[np.ndarray, Counts]:
    """The order in which images are stored: test, validation, training, each in stratified order.

    Args:
        parts: (n,) 0 for test, 1 for validation, 2 for training.
        labels: (n,) classes.
        ranks: (n,) numbers in whose order images are taken.
        test_share: Share of the training images that becomes the test part; None where there is one.
        pictures: (n,) hash of each picture; None where all are taken as different.

    Returns:
        (n,) positions, and how many of them are of each part.
    """
    test, validation, train = (np.flatnonzero(parts == part) for part in range(3))

    def ordered(part: np.ndarray) -> np.ndarray:
        order = stratified(labels[part], ranks[part], None if pictures is None else pictures[part])
        return np.take(part, order)

    if test_share is None:
        test, train = ordered(test), ordered(train)
    else:
        of_train = None if pictures is None else pictures[train]
        head, rest = split_off(labels[train], ranks[train], test_share, of_train)
        test, train = train[head], train[rest]
    validation = ordered(validation)
    return np.concatenate([test, validation, train]), (len(test), len(validation), len(train))


def different(labels: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    """The labels of pictures that are all different."""
    found: np.ndarray = labels[np.unique(pictures, return_index=True)[1]]
    return found


def check_enough(
    counts: Sequence[int], classes: Sequence[str], split_off: Sequence[str] | None, where: str, kinds: str = ""
) -> None:
    """Raise `DataError` where there are fewer than two classes, or a class has too few images.

    Args:
        counts: Images of each class.
        classes: Names of the classes.
        split_off: Which parts are to be split off these images: `validation`, `test`; None for images that are not
            trained on, of which one of each class is enough.
        where: Where the images come from, for the message.
        kinds: What there is in place of the images of an empty class, for the message.
    """
    if len(classes) < 2:
        raise DataError(f"{where}: only one class, {classes[0]!r}. A classifier needs at least two.")
    empty = [name for name, count in zip(classes, counts, strict=True) if count == 0]
    if empty:
        raise DataError(
            f"{where}: {named(empty)} without any image{kinds}; every class needs some. Add images, or remove it."
        )
    needed = 1 if split_off is None else max(2, 1 + len(split_off))
    small = [f"{name!r} has {count}" for name, count in zip(classes, counts, strict=True) if count < needed]
    if small:
        parts = ["training", *(split_off or ())]
        raise DataError(
            f"{where}: every class needs at least {needed} images (for {_listed(parts)}), but {', '.join(small[:5])}. "
            "Add images, or remove the class."
        )


def named(classes: Sequence[str]) -> str:
    """Classes in words, the first few of them by name."""
    names = ", ".join(repr(name) for name in classes[:5]) + (", ..." if len(classes) > 5 else "")
    return f"class {names}" if len(classes) == 1 else f"{len(classes)} classes ({names})"


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
