"""Splits, and concatenating them without a copy."""

import numpy as np
import pytest

from studies.data.dataset import Split, concatenate


def cut(images: np.ndarray, *ends: int) -> list[Split]:
    labels = np.arange(len(images))
    return [Split(images[a:b], labels[a:b]) for a, b in zip((0, *ends), (*ends, len(images)), strict=True)]


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (10, 2, 2, 3), np.uint8)


def test_adjacent_images_are_joined_without_a_copy(images, tmp_path):
    """Two adjacent slices of one array become one slice, whichever comes first; a memory map remains one."""
    _, second, third = cut(images, 3, 6)
    for a, b in ((second, third), (third, second)):
        joined = concatenate(a, b)
        assert np.shares_memory(joined.images, images)
        assert np.array_equal(joined.images, images[3:])
        assert joined.labels.tolist() == list(range(3, 10))
    np.save(tmp_path / "x.npy", images)
    joined = concatenate(*cut(np.load(tmp_path / "x.npy", mmap_mode="r"), 4))
    assert isinstance(joined.images, np.memmap)
    assert np.array_equal(joined.images, images)


@pytest.mark.parametrize("case", ["gap", "strangers", "strided"])
def test_other_images_are_joined_with_a_copy(images, case):
    """Images that are not adjacent are copied, the first argument first."""
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
    """A missing class counts as 0."""
    split = Split(np.zeros((3, 1, 1, 1), np.uint8), np.array([0, 2, 0]))
    assert split.counts(["a", "b", "c"]) == {"a": 2, "b": 0, "c": 1}
