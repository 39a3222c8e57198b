"""Duplicates with different labels."""

import numpy as np
import pytest

from studies.data.arrays import dataset_from_arrays
from studies.data.label_conflicts import conflict_notices
from tests.support.image_folders import load_folder
from tests.support.images import picture, write_classes


def test_duplicates_in_several_classes_are_counted_and_named():
    """All of them count, and the first pair is named with its classes; duplicates within a class do not conflict."""
    assert conflict_notices(np.array([1, 1, 2]), np.array([0, 0, 1]), str, ("a", "b")) == ()
    [found] = conflict_notices(np.array([5, 7, 5, 9, 5]), np.array([0, 0, 1, 1, 1]), "image {}".format, ("a", "b"))
    assert found.startswith("3 images duplicate an image of another class, such as image 0 ('a') and image 2 ('b')")


@pytest.mark.parametrize("cache", [True, False])
def test_images_in_several_class_folders_are_reported(tmp_path, cache):
    """Within a split, and across splits even though one of the duplicates is left out."""
    write_classes(tmp_path / "train", {"cat": 6, "dog": 6})
    write_classes(tmp_path / "test", {"cat": 6, "dog": 6}, seed=1)
    copied = (tmp_path / "train" / "cat" / "cat_0000.png").read_bytes()
    for name in ("train/dog/copy.png", "test/dog/copy.png"):
        (tmp_path / name).write_bytes(copied)
    [found] = [notice for notice in load_folder(tmp_path, cache=cache).notices if "another class" in notice]
    assert found.startswith("3 images")
    assert "cat_0000.png ('cat')" in found


def test_duplicates_in_arrays_are_reported():
    """Images are named by split and index."""
    images = np.stack([picture(seed) for seed in range(20)])
    images[11] = images[2]
    data = dataset_from_arrays({"train": (images, np.repeat([0, 1], 10))}, "here", validation=0.2, test=0.2)
    assert "train[2] ('0') and train[11] ('1')" in data.notices[0]
