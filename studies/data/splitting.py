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


def shuffled_ranks(images: int) -> np.ndarray:
    """A random number for each of so many images, always the same."""
    return np.random.default_rng(_SEED).permutation(images)


def stratified_order(labels: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """An order in which every head has the classes in their proportions.

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


def split_off(labels: np.ndarray, ranks: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the images that are split off, and of the rest in stratified order."""
    order = stratified_order(labels, ranks)
    length = head_length(share, len(labels), len(np.unique(labels)))
    head, rest = order[:length], order[length:]
    return head, rest[stratified_order(labels[rest], ranks[rest])]


def arranged(
    parts: np.ndarray, labels: np.ndarray, ranks: np.ndarray, test_share: float | None
) -> tuple[np.ndarray, Counts]:
    """The order in which images are stored: test, validation, training, each in stratified order.

    Args:
        parts: (n,) 0 for test, 1 for validation, 2 for training.
        labels: (n,) classes.
        ranks: (n,) numbers in whose order images are taken.
        test_share: Share of the training images that becomes the test part; None where there is one.

    Returns:
        (n,) positions, and how many of them are of each part.
    """
    test, validation, train = (np.flatnonzero(parts == part) for part in range(3))
    if test_share is None:
        test = test[stratified_order(labels[test], ranks[test])]
        train = train[stratified_order(labels[train], ranks[train])]
    else:
        head, rest = split_off(labels[train], ranks[train], test_share)
        test, train = train[head], train[rest]
    validation = validation[stratified_order(labels[validation], ranks[validation])]
    return np.concatenate([test, validation, train]), (len(test), len(validation), len(train))


def check_enough(counts: Sequence[int], classes: Sequence[str], split_off: Sequence[str] | None, where: str) -> None:
    """Raise `DataError` where there are fewer than two classes, or a class has too few images.

    Args:
        counts: Images of each class.
        classes: Names of the classes.
        split_off: Which parts are to be split off these images: `validation`, `test`; None for images that are not
            trained on, of which one of each class is enough.
        where: Where the images come from, for the message.
    """
    if len(classes) < 2:
        raise DataError(f"{where}: only one class, {classes[0]!r}. A classifier needs at least two.")
    empty = [name for name, count in zip(classes, counts, strict=True) if count == 0]
    if empty:
        raise DataError(f"{where}: {named(empty)} without any image; every class needs some. Add images, or remove it.")
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
