"""Splits, and joining them without a copy."""

import numpy as np
import pytest

from studies.data.dataset import Dataset, Split, concatenate


def cut(images: np.ndarray, *ends: int) -> list[Split]:
    labels = np.arange(len(images))
    return [Split(images[a:b], labels[a:b]) for a, b in zip((0, *ends), (*ends, len(images)), strict=True)]


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (10, 2, 2, 3), np.uint8)


def test_neighbours_are_joined_without_a_copy(images):
    """Two slices of one array that touch become one slice, whichever comes first."""
    _, second, third = cut(images, 3, 6)
    for a, b in ((second, third), (third, second)):
        joined = concatenate(a, b)
        assert np.shares_memory(joined.images, images)
        assert np.array_equal(joined.images, images[3:])
        assert joined.labels.tolist() == list(range(3, 10))


def test_neighbours_in_a_file_are_joined_without_a_copy(images, tmp_path):
    """A memory-mapped file stays one."""
    np.save(tmp_path / "x.npy", images)
    first, second = cut(np.load(tmp_path / "x.npy", mmap_mode="r"), 4)
    joined = concatenate(first, second)
    assert isinstance(joined.images, np.memmap)
    assert np.array_equal(joined.images, images)


@pytest.mark.parametrize("case", ["gap", "strangers", "strided"])
def test_others_are_joined_with_a_copy(images, case):
    """Images that do not lie side by side are copied, the first argument first."""
    first, _, third = cut(images, 3, 6)
    other = {
        "gap": third,
        "strangers": Split(images.copy()[6:], third.labels),
        "strided": Split(images[::2], np.arange(5)),
    }
    joined = concatenate(first, other[case])
    assert not np.shares_memory(joined.images, images)
    assert np.array_equal(joined.images, np.concatenate([first.images, other[case].images]))
    assert len(joined) == len(joined.images)


def test_a_split_counts_its_classes():
    """Every class is counted, an absent one as 0."""
    split = Split(np.zeros((3, 1, 1, 1), np.uint8), np.array([0, 2, 0]))
    assert split.counts(["a", "b", "c"]) == {"a": 2, "b": 0, "c": 1}


def test_a_dataset_knows_the_shape_of_its_images(images):
    """(height, width, channels), as plain numbers."""
    a, b, c = cut(images, 3, 6)
    assert Dataset(a, b, c, ("x", "y")).image_shape == (2, 2, 3)
