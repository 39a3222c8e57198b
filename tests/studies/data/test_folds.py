"""Folds of train plus validation."""

import numpy as np
import pytest

from spaces.errors import DataError
from studies.data.dataset import Dataset, Split
from studies.data.folds import check_folds, fold_numbers, select_fold
from studies.images.lazy_images import LazyImages
from tests.support.image_folders import image_bytes

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 2, 2, 1), np.uint8)
LABELS = np.repeat([0, 1], [30, 10])
CLASSES = ("many", "few")


def dataset(hashes=None) -> Dataset:
    """30 images to train on and 10 to validate by, of both classes."""
    mixed = np.random.default_rng(1).permutation(40)
    hashes = np.arange(40) if hashes is None else np.asarray(hashes)
    splits = [Split(IMAGES[mixed][rows], LABELS[mixed][rows], hashes[rows]) for rows in (slice(30), slice(30, 40))]
    return Dataset(*splits, splits[1], CLASSES)


def test_every_image_judges_once_and_trains_otherwise():
    """The folds are disjoint, and together all of train plus validation."""
    data = dataset()
    of_train, of_validation = fold_numbers(data, 4)
    judging: list[bytes] = []
    for fold in range(4):
        judge = select_fold(data.train, data.validation, of_train == fold, of_validation == fold)
        rest = select_fold(data.train, data.validation, of_train != fold, of_validation != fold)
        assert len(set(image_bytes(judge)) | set(image_bytes(rest))) == len(judge) + len(rest) == 10 + 30
        judging += image_bytes(judge)
    assert len(set(judging)) == 40


def test_folds_of_a_large_memory_map_are_not_read(tmp_path, monkeypatch):
    """Neither split is copied if they are large together, even if one of them is small."""
    np.save(tmp_path / "images.npy", IMAGES)
    images = np.load(tmp_path / "images.npy", mmap_mode="r")
    data = Dataset(*(Split(images[rows], LABELS[rows]) for rows in (slice(10, 40), slice(10), slice(10))), CLASSES)
    of_train, of_validation = (numbers != 0 for numbers in fold_numbers(data, 4))
    copied = select_fold(data.train, data.validation, of_train, of_validation)
    monkeypatch.setattr("studies.data.dataset.MAX_COPIED_BYTES", copied.images.nbytes - 1)
    lazy = select_fold(data.train, data.validation, of_train, of_validation)
    assert isinstance(copied.images, np.ndarray)
    assert isinstance(lazy.images, LazyImages)
    assert np.shares_memory(lazy.images.source, images)
    assert np.array_equal(lazy.images[:], copied.images)
    assert np.array_equal(lazy.labels, copied.labels)


def test_folds_are_stratified_and_fixed():
    """Each class is spread evenly, the same way every time."""
    data = dataset()
    numbers = np.concatenate(fold_numbers(data, 5))
    labels = np.concatenate([data.train.labels, data.validation.labels])
    assert [np.bincount(numbers[labels == label]).tolist() for label in (0, 1)] == [[6] * 5, [2] * 5]
    assert np.array_equal(numbers, np.concatenate(fold_numbers(dataset(), 5)))


def test_duplicates_are_in_one_fold():
    """An image is never judged by a model that was trained on its duplicate."""
    hashes = np.arange(40) % 25
    numbers = np.concatenate(fold_numbers(dataset(hashes), 3))
    assert all(len(set(numbers[hashes == value])) == 1 for value in range(25))


def test_a_class_with_fewer_images_than_folds_is_rejected():
    """The class and the number are named."""
    with pytest.raises(DataError, match=r"folds=11 needs at least 11 different images .* class 'few' has fewer"):
        check_folds(dataset(), 11)
    check_folds(dataset(), 10)
