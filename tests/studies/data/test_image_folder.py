"""How an image folder is split, and the format of its images."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from spaces import ImageFolder
from spaces.errors import DataError
from studies.data.image_folder import read_labelled_folder
from studies.data.sources import load
from tests.support.image_folders import all_bytes, image_bytes, load_folder, split_sizes
from tests.support.images import picture, write_classes

COUNTS = {"cat": 20, "dog": 10}


def test_a_folder_is_split_in_three(tmp_path):
    """20% is test, 20% of the rest validation, stratified; each row is the image of its file, with its label."""
    data = load_folder(write_classes(tmp_path, {"cat": 50, "dog": 25}))
    assert data.classes == ("cat", "dog")
    assert [split.counts(data.classes) for split in (data.test, data.validation, data.train)] == [
        {"cat": 10, "dog": 5},
        {"cat": 8, "dog": 4},
        {"cat": 32, "dog": 16},
    ]
    expected = {picture(label * 10_000 + k).tobytes(): label for label, n in enumerate((50, 25)) for k in range(n)}
    for split in (data.train, data.validation, data.test):
        for image, label in zip(split.images, split.labels, strict=True):
            assert expected.pop(image.tobytes()) == label
    assert not expected
    assert data.image_shape == (8, 8, 3)
    assert (data.train.images.dtype, data.train.labels.dtype) == (np.uint8, np.int64)


def test_a_split_does_not_depend_on_the_file_system(tmp_path):
    """The same files, written in another order elsewhere, are split the same way."""
    write_classes(tmp_path / "a", COUNTS)
    for path in sorted((tmp_path / "a").rglob("*.png"), reverse=True):
        (tmp_path / "b" / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / "b" / path.parent.name)
    a, b = (load_folder(tmp_path / name, cache_folder=tmp_path / f"cache_{name}") for name in "ab")
    assert all_bytes(a) == all_bytes(b)


def test_another_validation_fraction_keeps_the_test_images(tmp_path):
    """The images of the final test do not depend on how trials are judged."""
    folder = write_classes(tmp_path, COUNTS)
    a, b = load_folder(folder, validation=0.1), load_folder(folder, validation=0.5)
    assert image_bytes(a.test) == image_bytes(b.test)
    assert (len(a.validation), len(b.validation)) == (2, 12)


def test_split_folders_are_used_as_they_are(tmp_path):
    """They may have any names, relative to the folder of the space file."""
    for seed, name in enumerate("xyz"):
        write_classes(tmp_path / name, {"a": 3 + seed, "b": 3}, seed=seed)
    assert split_sizes(load(ImageFolder("x", validation="y", test="z"), tmp_path)) == [6, 7, 8]


@pytest.mark.parametrize(
    ("side", "settings", "shape"),
    [
        (20, {}, (25, 25, 3)),
        (200, {}, (128, 128, 3)),
        (20, {"image_size": (6, 12), "channels": 1, "resize": "pad"}, (6, 12, 1)),
    ],
)
def test_the_format_is_that_of_the_record(tmp_path, side, settings, shape):
    """Without `image_size` images become squares of their median side, of at most 128 pixels."""
    write_classes(tmp_path, {"a": 4, "b": 4}, height=side, width=side * 3 // 2)
    data = load_folder(tmp_path, **settings)
    assert (data.image_shape, data.resize) == (shape, settings.get("resize", "stretch"))
    assert data.train.images[:, :, 0].any() == (data.resize != "pad")


def test_a_labelled_folder_is_read_by_the_models_classes(tmp_path):
    """Labels index the model's classes, some of which may be missing."""
    write_classes(tmp_path, {"b": 3, "c": 2})
    (tmp_path / "c" / "broken.png").touch()
    split, skipped = read_labelled_folder(tmp_path, ("c", "a", "b"), (8, 8, 3), max_skipped=0.5)
    assert split.labels.tolist() == [0, 0, 2, 2, 2]
    assert (split.images[2] == picture(0)).all()
    assert [Path(path).name for path, _ in skipped] == ["broken.png"]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"a": 1, "x": 1}, "does not know: 'x'"),
        ({}, "has no class folders"),
        ({"a": 0}, "no JPEG"),
        ({"test/a": 1, "test/b": 1}, "to evaluate on {folder}/test, pass that folder"),
    ],
)
def test_a_labelled_folder_with_other_content_is_rejected(tmp_path, counts, expected):
    """Unknown classes, no images, and a wrapper, whose inner folder is named."""
    write_classes(tmp_path, counts)
    for name in counts:
        (tmp_path / name).mkdir(exist_ok=True)
    with pytest.raises(DataError, match=expected.format(folder=tmp_path)):
        read_labelled_folder(tmp_path, ("a", "b"), (8, 8, 3))
