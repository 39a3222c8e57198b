"""Images and labels in arrays: what is accepted, how it is scaled and split, and what is refused."""

import numpy as np
import pytest

from spaces.errors import DataError
from studies.data import Dataset, concatenated
from studies.data.arrays import dataset_of

IMAGES = np.random.default_rng(0).integers(0, 256, (60, 4, 5, 3), np.uint8)
OTHERS = np.random.default_rng(1).integers(0, 256, (9, 4, 5, 3), np.uint8)
LABELS = np.tile([0, 1, 2], 20)


def made(images=IMAGES, labels=LABELS, more=None, **settings) -> Dataset:
    return dataset_of({"train": (images, labels), **(more or {})}, "x", **{"validation": 0.2, "test": 0.2, **settings})


def test_one_part_becomes_three():
    """Stratified, disjoint, the same every time, with the labels of the images."""
    data, again = made(), made()
    assert data.classes == ("0", "1", "2")
    assert [len(split) for split in (data.train, data.validation, data.test)] == [38, 10, 12]
    assert data.test.counts(data.classes) == {"0": 4, "1": 4, "2": 4}
    labels = {image.tobytes(): label for image, label in zip(IMAGES, LABELS, strict=True)}
    for split, other in ((data.train, again.train), (data.validation, again.validation), (data.test, again.test)):
        assert np.array_equal(split.images, other.images)
        assert all(
            labels.pop(image.tobytes()) == label for image, label in zip(split.images, split.labels, strict=True)
        )
    assert not labels


def test_training_and_validation_are_joined_without_a_copy():
    """Both are cut from one array."""
    data = made()
    assert np.shares_memory(concatenated(data.train, data.validation).images, data.train.images)


def test_given_parts_are_kept_as_they_are():
    """Images that need no splitting are neither ordered anew nor copied."""
    data = made(more={"test": (OTHERS[:6], LABELS[:6]), "validation": (OTHERS[6:], LABELS[:3])})
    assert data.train.images is IMAGES
    assert len(data.test) == 6
    assert len(data.validation) == 3


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (200, np.uint8, 200),
        (200, np.int64, 200),
        (199.6, np.float64, 200),
        (0.5, np.float32, 128),
        (1.0, np.float16, 255),
        (True, np.bool_, 255),
        (1, np.int32, 1),
    ],
)
def test_pixels_become_0_to_255(value, kind, expected):
    """Floats from 0 to 1 are spread, everything else is taken as it is."""
    different = np.arange(60)[:, None] >> np.arange(6) & 1
    images = np.pad(different[:, :, None] * np.ones(5), [(0, 0), (0, 4), (0, 0)], constant_values=1) * value
    data = made(images.astype(kind))
    assert data.image_shape == (10, 5, 1)
    assert data.train.images.dtype == np.uint8
    assert np.unique(data.train.images).tolist() == [0, expected]


def test_all_parts_have_one_scale():
    """A dark test image does not become a bright one because it is dark."""
    dark = np.full((3, 4, 5, 3), 0.5)
    data = made(IMAGES.astype(float), more={"test": (dark, [0, 1, 2])})
    assert data.test.images.max() <= 1


@pytest.mark.parametrize(
    ("labels", "settings", "expected"),
    [
        (LABELS + 5, {}, ("5", "6", "7")),
        (LABELS[:, None], {}, ("0", "1", "2")),
        (np.array(["b", "ä", "c"])[LABELS], {}, ("b", "c", "ä")),
        (np.array(["b", "ä", "c"])[LABELS], {"classes": ["ä", "b", "c"]}, ("ä", "b", "c")),
        (LABELS, {"classes": ["x", "y", "z"]}, ("x", "y", "z")),
        (np.array([b"x", b"y", b"z"])[LABELS], {}, ("x", "y", "z")),
        (LABELS == 1, {}, ("0", "1")),
    ],
)
def test_labels_become_positions_in_the_classes(labels, settings, expected):
    """Numbers and texts, with or without names for them, in the order of the classes."""
    data = made(labels=labels, **settings)
    assert data.classes == expected
    names = np.array(data.classes)[data.train.labels]
    flat = np.asarray(labels).reshape(-1)
    by_image = {image.tobytes(): label for image, label in zip(IMAGES, flat, strict=True)}
    given = [by_image[image.tobytes()] for image in data.train.images]
    if flat.dtype.kind == "U":
        assert names.tolist() == given
    else:
        assert np.unique(list(zip(names, map(str, given), strict=True)), axis=0).shape[0] == len(expected)


@pytest.mark.parametrize(
    ("images", "labels", "settings", "expected"),
    [
        (IMAGES[:59], LABELS, {}, "59 images but 60 labels"),
        (IMAGES[0, 0], LABELS, {}, "must have the shape"),
        (IMAGES[..., :2], LABELS, {}, r"got \(60, 4, 5, 2\)"),
        (np.moveaxis(IMAGES, -1, 1), LABELS, {}, "Move the channels to the end"),
        (IMAGES[:0], LABELS[:0], {}, "must have the shape"),
        (IMAGES.astype(float) - 128, LABELS, {}, "values must be from 0 to 255"),
        (IMAGES.astype(int) * 2, LABELS, {}, "values must be from 0 to 255"),
        (np.where(IMAGES > 3, np.nan, 1.0), LABELS, {}, "got nan to nan"),
        (IMAGES.astype(str), LABELS, {}, "must be numbers"),
        ([np.zeros((2, 2)), np.zeros((3, 2))], LABELS, {}, "images of train: not an array"),
        (np.array([None] * 60), LABELS, {}, "Python objects"),
        (IMAGES, LABELS.astype(float), {}, "must be whole numbers or texts"),
        (IMAGES, LABELS.astype(object), {}, "Python objects"),
        (IMAGES, np.eye(3)[LABELS], {}, "np.argmax"),
        (IMAGES, [[1], [2, 3]], {}, "labels of train: not an array"),
        (IMAGES, LABELS * 0, {}, "only one class, '0'"),
        (IMAGES, np.where(np.arange(60) == 7, 3, LABELS), {}, "'3' has 1"),
        (IMAGES, LABELS, {"classes": ["a", "b"]}, "2 is not among the classes"),
        (IMAGES, LABELS, {"classes": ["a", "b", "c", "d"]}, "class 'd' without any image"),
        (IMAGES, LABELS, {"classes": ["a", "b", "b"]}, "list of different names"),
        (IMAGES, LABELS, {"classes": "abc"}, "list of different names"),
        (IMAGES, LABELS, {"more": {"test": (IMAGES[:3, :2], [0, 1, 2])}}, "must have one shape"),
        (IMAGES, LABELS, {"more": {"test": (IMAGES[:3], [0, 1, 9])}}, "labels of test: 9 is not among the classes"),
        (IMAGES, LABELS, {"more": {"test": (OTHERS[:2], [0, 1])}}, "test: class '2' without any image"),
        (IMAGES, LABELS, {"more": {"test": (IMAGES[:2], ["0", "1"])}}, "must be of one kind"),
    ],
)
def test_what_cannot_be_used_is_refused(images, labels, settings, expected):
    """One message with the rule and what was received."""
    with pytest.raises(DataError, match=expected):
        made(images, labels, **settings)
