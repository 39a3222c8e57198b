"""The order of images whose heads are stratified."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces.errors import DataError
from studies.data.stratify import check_enough, head_length, shuffled_ranks, split_off, storage_order

COUNTS = st.lists(st.integers(2, 40), min_size=2, max_size=6)
FRACTIONS = st.floats(0.01, 0.9)


def labels_of(counts: list[int]) -> np.ndarray:
    return np.repeat(np.arange(len(counts)), counts)


def divide(labels: np.ndarray, ranks: np.ndarray, fraction: float) -> tuple[np.ndarray, np.ndarray]:
    return split_off(labels, ranks, fraction, np.arange(len(labels)))


@given(COUNTS, FRACTIONS)
def test_both_sides_of_a_split_hold_every_class(counts, fraction):
    """If every class has two images, no class is missing on either side, and every image is on one."""
    labels = labels_of(counts)
    head, rest = divide(labels, shuffled_ranks(len(labels)), fraction)
    assert set(labels[head]) == set(labels[rest]) == set(range(len(counts)))
    assert sorted([*head, *rest]) == list(range(len(labels)))
    assert len(head) == head_length(fraction, len(labels), len(counts))


@given(st.lists(st.integers(50, 400), min_size=2, max_size=5), st.floats(0.1, 0.9))
def test_a_head_has_the_proportions_of_the_classes(counts, fraction):
    """Each class differs from its proportion by less than two images."""
    labels = labels_of(counts)
    head, _ = divide(labels, shuffled_ranks(len(labels)), fraction)
    expected = np.array(counts) * len(head) / len(labels)
    assert np.abs(np.bincount(labels[head]) - expected).max() < 2


@given(COUNTS, FRACTIONS, st.randoms(use_true_random=False))
def test_a_split_does_not_depend_on_the_order_of_the_images(counts, fraction, random):
    """The ranks alone decide which images are split off."""
    labels = labels_of(counts)
    ranks = shuffled_ranks(len(labels))
    shuffle = list(range(len(labels)))
    random.shuffle(shuffle)
    head, _ = divide(labels, ranks, fraction)
    shuffled_head, _ = divide(labels[shuffle], ranks[shuffle], fraction)
    assert set(ranks[head]) == set(ranks[shuffle][shuffled_head])


def test_splits_are_stored_one_after_the_other():
    """Test, validation and training, each in its own order."""
    splits = np.array([2, 0, 2, 1, 2, 2, 0, 1])
    labels = np.array([0, 0, 1, 0, 0, 1, 1, 1])
    order, counts = storage_order(splits, labels, shuffled_ranks(8), None, np.arange(8))
    assert counts == (2, 2, 4)
    assert splits[order].tolist() == [0, 0, 1, 1, 2, 2, 2, 2]


def test_test_images_are_taken_from_the_training_images():
    """Without a test split a fraction of the training images becomes one."""
    labels = np.repeat([0, 1], 50)
    order, counts = storage_order(np.full(100, 2), labels, shuffled_ranks(100), 0.2, np.arange(100))
    assert counts == (20, 0, 80)
    assert np.bincount(labels[order[:20]]).tolist() == [10, 10]


@pytest.mark.parametrize(
    ("counts", "split", "message"),
    [
        ([5], [], "only one class, 'a'"),
        ([5, 1], [], "at least 2 images (for training), but 'b' has 1"),
        ([5, 1], ["validation"], "at least 2 images (for training and validation), but 'b' has 1"),
        ([0, 1], None, "no images of class 'a'"),
    ],
)
def test_too_few_images_are_rejected(counts, split, message):
    """A class needs one image for each split, and images that are only tested need one per class."""
    check_enough([1, 1], ["a", "b"], None, "photos")
    with pytest.raises(DataError, match=f"^photos: .*{re.escape(message)}"):
        check_enough(counts, ["a", "b"][: len(counts)], split, "photos")
