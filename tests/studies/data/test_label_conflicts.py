"""Equal images with different labels."""

from pathlib import Path

import numpy as np
import pytest

from spaces import ImageFolder
from studies.data.arrays import dataset_from_arrays
from studies.data.label_conflicts import conflict_notices
from studies.data.sources import load
from tests.support.images import picture, write_classes


def test_equal_images_of_one_class_are_no_conflict():
    """Copies within a class say nothing about its label."""
    assert conflict_notices(np.array([1, 1, 2]), np.array([0, 0, 1]), str, ("a", "b")) == ()


def test_equal_images_of_several_classes_are_counted_and_named():
    """All of them count, and the first pair is named with its classes."""
    found = conflict_notices(np.array([5, 7, 5, 9, 5]), np.array([0, 0, 1, 1, 1]), "image {}".format, ("a", "b"))
    assert len(found) == 1
    assert found[0].startswith("3 images duplicate an image of another class, such as image 0 ('a') and image 2 ('b')")


@pytest.mark.parametrize("cache", [True, False])
def test_images_in_several_class_folders_are_reported(tmp_path, cache):
    """Within a split, and across splits where one of them is left out."""
    write_classes(tmp_path / "train", {"cat": 6, "dog": 6})
    write_classes(tmp_path / "test", {"cat": 6, "dog": 6}, seed=1)
    copied = (tmp_path / "train" / "cat" / "cat_0000.png").read_bytes()
    for name in ("train/dog/copy.png", "test/dog/copy.png"):
        (tmp_path / name).write_bytes(copied)
    data = load(ImageFolder(str(tmp_path), cache=cache), Path("/nowhere"))
    found = [notice for notice in data.notices if "another class" in notice]
    assert len(found) == 1
    assert found[0].startswith("3 images")
    assert "cat_0000.png ('cat')" in found[0]


def test_equal_images_in_arrays_are_reported():
    """Arrays are named by split and position."""
    images = np.stack([picture(seed) for seed in range(20)])
    images[11] = images[2]
    data = dataset_from_arrays({"train": (images, np.repeat([0, 1], 10))}, "here", validation=0.2, test=0.2)
    assert "train[2] ('0') and train[11] ('1')" in data.notices[0]
