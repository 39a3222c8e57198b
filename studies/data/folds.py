"""Folds: train plus validation cut into parts of equal size, each of which judges a model trained on the others."""

import numpy as np

from spaces.errors import DataError
from studies.data.dataset import Dataset, Split, concatenate, copied_if_few, subset
from studies.data.stratify import DuplicateGroups, named, shuffled_ranks


def check_folds(dataset: Dataset, folds: int) -> None:
    """Raise `DataError` where a class has fewer images than there are folds."""
    labels, _, firsts = _together(dataset)
    counts = np.bincount(labels[firsts], minlength=len(dataset.classes))
    small = [name for name, count in zip(dataset.classes, counts, strict=True) if count < folds]
    if small:
        raise DataError(
            f"folds={folds} needs at least {folds} different images of every class in train and validation together, "
            f"but {named(small)} has fewer: add images, or take fewer folds."
        )


def fold_numbers(dataset: Dataset, folds: int) -> tuple[np.ndarray, np.ndarray]:
    """The fold of each training and of each validation image, counted from 0: stratified, and the same every time.

    Equal pictures are in one fold.
    """
    labels, groups, firsts = _together(dataset)
    ranks = shuffled_ranks(len(labels))
    numbers = np.empty(len(labels), np.int64)
    for place, group in enumerate(np.lexsort((ranks[firsts], labels[firsts]))):
        numbers[groups.whole(np.array([group]))] = place % folds
    return numbers[: len(dataset.train)], numbers[len(dataset.train) :]


def select_fold(train: Split, validation: Split, of_train: np.ndarray, of_validation: np.ndarray) -> Split:
    """Images of both, by a mask for each; they are copied only where they are few."""
    parts = [(split, mask) for split, mask in ((train, of_train), (validation, of_validation)) if mask.any()]
    found = [subset(split, np.flatnonzero(mask)) for split, mask in parts]
    return copied_if_few(found[0] if len(found) == 1 else concatenate(*found))


def _together(dataset: Dataset) -> tuple[np.ndarray, DuplicateGroups, np.ndarray]:
    """Labels of train and validation, their groups of equal pictures, and the first image of each group."""
    labels = np.concatenate([dataset.train.labels, dataset.validation.labels])
    hashes = [dataset.train.pictures, dataset.validation.pictures]
    known = [each for each in hashes if each is not None]
    pictures = np.concatenate(known) if len(known) == 2 else np.arange(len(labels))
    groups = DuplicateGroups(pictures, shuffled_ranks(len(labels)))
    return labels, groups, groups.firsts
