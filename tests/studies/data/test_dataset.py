"""Splits, and concatenating them without a copy."""

import numpy as np

from studies.data.dataset import Split, concatenate


def cut(images: np.ndarray, *ends: int) -> list[Split]:
    labels = np.arange(len(images))
    return [Split(images[a:b], labels[a:b]) for a, b in zip((0, *ends), (*ends, len(images)), strict=True)]


IMAGES = np.random.default_rng(0).integers(0, 255, (10, 2, 2, 3), np.uint8)


def test_adjacent_images_are_joined_without_a_copy(tmp_path):
    """Two adjacent slices of one array become one slice, whichever comes first; a memory map remains one."""
    _, second, third = cut(IMAGES, 3, 6)
    for joined in (concatenate(second, third), concatenate(third, second)):
        assert np.shares_memory(joined.images, IMAGES)
        assert np.array_equal(joined.images, IMAGES[3:])
        assert joined.labels.tolist() == list(range(3, 10))
    np.save(tmp_path / "x.npy", IMAGES)
    joined = concatenate(*cut(np.load(tmp_path / "x.npy", mmap_mode="r"), 4))
    assert isinstance(joined.images, np.memmap)
    assert np.array_equal(joined.images, IMAGES)


def test_other_images_are_joined_with_a_copy():
    """Images that are not adjacent, of other arrays or strided are copied, the first argument first."""
    first, _, third = cut(IMAGES, 3, 6)
    for other in (third, Split(IMAGES.copy()[6:], third.labels), Split(IMAGES[::2], np.arange(5))):
        joined = concatenate(first, other)
        assert not np.shares_memory(joined.images, IMAGES)
        assert np.array_equal(joined.images, np.concatenate([first.images, other.images]))
        assert len(joined) == len(joined.images)


def test_a_split_counts_its_classes():
    """A missing class counts as 0."""
    split = Split(np.zeros((3, 1, 1, 1), np.uint8), np.array([0, 2, 0]))
    assert split.counts(["a", "b", "c"]) == {"a": 2, "b": 0, "c": 1}
