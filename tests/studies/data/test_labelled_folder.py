"""Folders that a trained model is evaluated on."""

from pathlib import Path

import numpy as np
import pytest

from spaces.errors import DataError
from studies.data.image_folder import read_labelled_folder
from tests.support.images import picture, write_classes


def test_a_labelled_folder_is_read_by_the_models_classes(tmp_path):
    """Labels are the positions of the folder names in the model's classes, some of which may be absent."""
    write_classes(tmp_path, {"b": 3, "c": 2})
    (tmp_path / "c" / "broken.png").touch()
    split, skipped = read_labelled_folder(tmp_path, ("c", "a", "b"), (8, 8, 3), "stretch", max_skipped=0.5)
    assert split.labels.tolist() == [0, 0, 2, 2, 2]
    assert np.array_equal(split.images[2], picture(0))
    assert [Path(path).name for path, _ in skipped] == ["broken.png"]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [({"a": 1, "x": 1}, "does not know: 'x'"), ({}, "has no class folders"), ({"a": 0}, "no JPEG")],
)
def test_a_labelled_folder_of_something_else_is_refused(tmp_path, counts, expected):
    """Unknown classes and folders without images end in one message."""
    write_classes(tmp_path, counts)
    for name in counts:
        (tmp_path / name).mkdir(exist_ok=True)
    with pytest.raises(DataError, match=expected):
        read_labelled_folder(tmp_path, ("a", "b"), (8, 8, 3), "stretch")


def test_a_wrapper_or_a_split_is_named(tmp_path):
    """The folder that holds the classes is the one to pass."""
    write_classes(tmp_path / "test", {"a": 1, "b": 1})
    with pytest.raises(DataError, match=f"to evaluate on {tmp_path / 'test'}, pass that folder"):
        read_labelled_folder(tmp_path, ("a", "b"), (8, 8, 3), "stretch")
