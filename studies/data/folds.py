"""Divide train plus validation into folds of equal size, each of which judges a model trained on the others."""

import numpy as np

from spaces.errors import DataError
from studies.data.dataset import Dataset, Split, concatenate, copy_if_small, subset
from studies.data.stratify import DuplicateGroups, describe_classes, shuffled_ranks


def check_folds(dataset: Dataset, folds: int) -> None:
    """Raise `DataError` if a class has fewer different images than there are folds."""
    labels, _, firsts = _pool(dataset)
    counts = np.bincount(labels[firsts], minlength=len(dataset.classes))
    small = [name for name, count in zip(dataset.classes, counts, strict=True) if count < folds]
    if small:
        raise DataError(
            f"folds={folds} needs at least {folds} different images of every class in train plus validation, but "
            f"{describe_classes(small)} has fewer\nhint: add images, or use fewer folds"
        )


def fewest_images(dataset: Dataset) -> int:
    """Return the number of different images in train plus validation of the smallest class."""
    labels, _, firsts = _pool(dataset)
    return int(np.bincount(labels[firsts], minlength=len(dataset.classes)).min())


def fold_numbers(dataset: Dataset, folds: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the fold, from 0, of each training image and of each validation image.

    Folds are stratified and always the same, and duplicates are in one fold.
    """
    labels, groups, firsts = _pool(dataset)
    ranks = shuffled_ranks(len(labels))
    numbers = np.empty(len(labels), np.int64)
    for index, group in enumerate(np.lexsort((ranks[firsts], labels[firsts]))):
        numbers[groups.members(np.array([group]))] = index % folds
    return numbers[: len(dataset.train)], numbers[len(dataset.train) :]


def select_fold(train: Split, validation: Split, of_train: np.ndarray, of_validation: np.ndarray) -> Split:
    """Return the images of both splits that masks select; they are copied only if they are small."""
    masks = ((train, of_train), (validation, of_validation))
    found = [subset(split, np.flatnonzero(mask)) for split, mask in masks if mask.any()]
    return copy_if_small(found[0] if len(found) == 1 else concatenate(*found))


def _pool(dataset: Dataset) -> tuple[np.ndarray, DuplicateGroups, np.ndarray]:
    """Return the labels of train plus validation, the groups of duplicates, and the first image of each group."""
    labels = np.concatenate([dataset.train.labels, dataset.validation.labels])
    known = [split.exact_hashes for split in (dataset.train, dataset.validation) if split.exact_hashes is not None]
    hashes = np.concatenate(known) if len(known) == 2 else np.arange(len(labels))
    groups = DuplicateGroups(hashes, shuffled_ranks(len(labels)))
    return labels, groups, groups.firsts
