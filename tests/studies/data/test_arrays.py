"""Images and labels in arrays: what is accepted, how it is scaled and split, and what is rejected."""

import numpy as np
import pytest
from PIL import Image

from spaces.errors import DataError
from studies.data.array_images import to_uint8
from studies.data.arrays import dataset_from_arrays
from studies.data.dataset import Dataset, concatenate
from tests.support.image_folders import all_bytes, split_sizes

IMAGES = np.random.default_rng(0).integers(0, 256, (60, 4, 5, 3), np.uint8)
OTHERS = np.random.default_rng(1).integers(0, 256, (9, 4, 5, 3), np.uint8)
LABELS = np.tile([0, 1, 2], 20)


def as_objects(values) -> np.ndarray:
    """Return a one-dimensional array of Python objects, like a pandas column of texts."""
    found = np.empty(len(values), object)
    found[:] = values
    return found


def build(images=IMAGES, labels=LABELS, more=None, **settings) -> Dataset:
    return dataset_from_arrays(
        {"train": (images, labels), **(more or {})}, "x", **{"validation": 0.2, "test": 0.2, **settings}
    )


def test_one_split_becomes_three():
    """Stratified, disjoint and always the same, with their labels, and train plus validation without a copy."""
    data, again = build(), build()
    assert data.classes == ("0", "1", "2")
    assert split_sizes(data) == [38, 10, 12]
    assert data.test.counts(data.classes) == {"0": 4, "1": 4, "2": 4}
    labels = np.concatenate([split.labels for split in (data.test, data.validation, data.train)]).tolist()
    assert sorted(zip(all_bytes(data), labels, strict=True)) == sorted(
        (image.tobytes(), label) for image, label in zip(IMAGES, LABELS.tolist(), strict=True)
    )
    assert all_bytes(data) == all_bytes(again)
    assert np.shares_memory(concatenate(data.train, data.validation).images, data.train.images)


def test_given_splits_are_used_as_they_are():
    """Images that need no splitting are neither reordered nor copied."""
    data = build(more={"test": (OTHERS[:6], LABELS[:6]), "validation": (OTHERS[6:], LABELS[:3])})
    assert data.train.images is IMAGES
    assert split_sizes(data) == [60, 3, 6]


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
    """Floats from 0 to 1 are scaled, everything else is used as it is; images without channels are grey."""
    images = build((IMAGES[..., 0] % 2 * value).astype(kind)).train.images
    assert (images.shape[1:], images.dtype) == ((4, 5, 1), np.uint8)
    assert np.unique(images).tolist() == [0, expected]


def test_all_splits_have_one_scale():
    """Dark test images do not become bright because they are dark."""
    dark = np.zeros((3, 4, 5, 3)) + np.array([0.0, 1.25, 2.5])[:, None, None, None]
    assert build(IMAGES.astype(float), more={"test": (dark, [0, 1, 2])}).test.images.max() == 2
    assert build(IMAGES / 255, more={"test": (dark / 255, [0, 1, 2])}).test.images.max() == 2


def test_whatever_numpy_converts_is_an_array():
    """Nested lists, lists of images, and tensors of any library."""

    class Tensor:
        def __array__(self, dtype=None, copy=None):
            return IMAGES

    for images in (IMAGES.tolist(), list(IMAGES), [Image.fromarray(image) for image in IMAGES], Tensor()):
        assert np.array_equal(to_uint8({"train": images}, "x")["train"], IMAGES)


def test_suspicious_arrays_are_reported():
    """Values from 0 to 15 are reported, a single bright pixel is not; names that differ in case may be one class."""
    dark = (IMAGES // 16).astype(np.float32)
    assert build(dark).notices[0].startswith("no pixel is brighter than 15 of 255")
    dark[0, 0, 0, 0] = 255
    assert build(dark).notices == ()
    assert any("case" in notice for notice in build(labels=["Cat", "cat", "dog"] * 20).notices)


@pytest.mark.parametrize("kind", [np.uint8, np.float32, bool])
@pytest.mark.parametrize("train", [IMAGES, IMAGES / 255, IMAGES.astype(int), IMAGES > 127])
def test_black_is_in_every_range(train, kind):
    """A test image of zeros fits any range of the training images."""
    black = np.zeros((1, 4, 5, 3), kind)
    lit = (train[:2] / train.max() * (255 if train.max() > 1 else 1)).astype(train.dtype)
    data = to_uint8({"train": train, "validation": lit, "test": black}, "x")
    assert data["test"].max() == 0
    assert data["train"].max() == 255


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (IMAGES / 255, OTHERS.astype(float)),
        (IMAGES.astype(np.float32), OTHERS / 255),
        (IMAGES, OTHERS / 255),
        (IMAGES > 127, OTHERS),
        (IMAGES.astype(float), np.full(OTHERS.shape, 0.5)),
        (IMAGES, (OTHERS / 255).round().astype(np.uint8)),
        (IMAGES.astype(int), OTHERS // 128),
        (IMAGES // 128, OTHERS / 255),
    ],
)
def test_splits_with_different_ranges_are_rejected(train, test):
    """The message names the range of every split."""
    message = r"one value range, but only the images of (train|test) .*: train 0 to .*, test 0"
    with pytest.raises(DataError, match=message):
        build(train, more={"test": (test, np.arange(9) % 3)})


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("top", [1, 255])
def test_values_slightly_out_of_range_are_clipped(kind, top):
    """Rounding or resizing may leave 1.0000002 or -1e-8, in any type, or one grey level."""
    images = (IMAGES / 255 * top).astype(kind)
    pixels = images.reshape(-1)
    pixels[:4] = np.nextafter(kind(top), kind(np.inf)), -1e-8 * top, top * (1 + 1 / 256), -top / 256
    expected = IMAGES.copy()
    expected.reshape(-1)[:4] = 255, 0, 255, 0
    found = to_uint8({"train": images, "test": images * kind(0.5)}, "x")
    assert np.array_equal(found["train"], expected)
    assert found["test"].max() in (127, 128)


@pytest.mark.parametrize(
    ("labels", "settings", "classes", "positions"),
    [
        (LABELS + 5, {}, ("5", "6", "7"), [0, 1, 2]),
        (LABELS[:, None], {}, ("0", "1", "2"), [0, 1, 2]),
        (np.array(["b", "ä", "c"])[LABELS], {}, ("b", "c", "ä"), [0, 2, 1]),
        (np.array(["b", "ä", "c"])[LABELS], {"classes": ["ä", "b", "c"]}, ("ä", "b", "c"), [1, 0, 2]),
        (LABELS, {"classes": ["x", "y", "z"]}, ("x", "y", "z"), [0, 1, 2]),
        (np.array([b"x", b"y", b"z"])[LABELS], {}, ("x", "y", "z"), [0, 1, 2]),
        (LABELS == 1, {}, ("0", "1"), [0, 1, 0]),
        ([b"x", b"y", b"z"] * 20, {}, ("x", "y", "z"), [0, 1, 2]),
        (["x", "y", "z"] * 20, {"classes": np.array([b"x", b"y", b"z"])}, ("x", "y", "z"), [0, 1, 2]),
        (as_objects(["x", "y", "z"] * 20), {}, ("x", "y", "z"), [0, 1, 2]),
        (as_objects([b"x", "y", np.str_("z")] * 20), {}, ("x", "y", "z"), [0, 1, 2]),
        (as_objects([0, np.int8(1), 5] * 20), {}, ("0", "1", "5"), [0, 1, 2]),
        (as_objects([0, 1, 2] * 20), {"classes": as_objects(["x", "y", "z"])}, ("x", "y", "z"), [0, 1, 2]),
        (np.array(["x", "y", "z"] * 20, np.dtypes.StringDType()), {}, ("x", "y", "z"), [0, 1, 2]),
        ((" x", "y", "z") * 20, {}, (" x", "y", "z"), [0, 1, 2]),
        (np.where(LABELS == 1, 1, -1), {}, ("-1", "1"), [0, 1, 0]),
        ([np.array(name) for name in "xyz"] * 20, {}, ("x", "y", "z"), [0, 1, 2]),
        ([np.array(number) for number in range(3)] * 20, {}, ("0", "1", "2"), [0, 1, 2]),
    ],
)
def test_labels_become_positions_in_the_classes(labels, settings, classes, positions):
    """Numbers and texts, with or without names of the classes, in their order."""
    splits = {"test": (OTHERS[:3], labels[:3]), "validation": (OTHERS[3:6], labels[:3])}
    data = build(labels=labels, more=splits, **settings)
    assert data.classes == classes
    assert data.train.labels.tolist() == positions * 20


@pytest.mark.parametrize(
    ("images", "labels", "settings", "expected"),
    [
        (IMAGES[:59], LABELS, {}, "59 images but 60 labels"),
        (IMAGES[0, 0], LABELS, {}, "must have the shape"),
        (IMAGES[..., :2], LABELS, {}, r"got \(60, 4, 5, 2\)"),
        (np.moveaxis(IMAGES, -1, 1), LABELS, {}, "move the channels to the end"),
        (IMAGES[:0], LABELS[:0], {}, "must have the shape"),
        (IMAGES.astype(float) - 128, LABELS, {}, "values must be 0 to 255"),
        (IMAGES / 127.5 - 1, LABELS, {}, r"\(x \+ 1\) / 2 maps it to 0 to 1"),
        ((IMAGES - 127.0) / 60, LABELS, {}, "undo the normalization"),
        (IMAGES.astype(np.int8), LABELS, {}, "values must be 0 to 255"),
        (IMAGES.astype(np.uint16) * 257, LABELS, {}, "(?s)got 0 to 65535.* x / 65535 maps"),
        (IMAGES.astype(int) * 16, LABELS, {}, "x / 4095 maps"),
        (IMAGES / 240, LABELS, {}, r"(?s)maximum of 1.062 fit neither the range 0 to 1 nor 0 to 255.*np.clip"),
        (IMAGES / 16, LABELS, {}, "maximum of 15.94 fit neither"),
        (np.where(IMAGES > 3, np.nan, 1.0), LABELS, {}, "values in 60 of the 60 images are NaN or infinite"),
        (np.where(np.arange(60)[:, None, None, None] == 7, np.inf, IMAGES), LABELS, {}, "in 1 of .*first in image 7"),
        (np.ma.array(IMAGES, mask=IMAGES > 3), LABELS, {}, "masked arrays are not supported"),
        (np.concatenate([IMAGES, IMAGES[..., :1]], -1), LABELS, {}, r"transparency: x\[..., :3\]"),
        (IMAGES.reshape(60, -1), LABELS, {}, "x.reshape"),
        (iter(IMAGES), LABELS, {}, "must be an array or a list, got .*iterator"),
        (LABELS, IMAGES, {}, r"pair \(images, labels\), in this order"),
        (IMAGES, set(LABELS.tolist()), {}, "must be an array or a list, got set"),
        (IMAGES.astype(str), LABELS, {}, "must be numbers"),
        ([np.zeros((2, 2)), np.zeros((3, 2))], LABELS, {}, "images of train: not an array"),
        (np.array([None] * 60), LABELS, {}, "Python objects"),
        (IMAGES, LABELS.astype(float), {}, r"must be integers or texts, got an array of float64\n.*y.astype\(int\)"),
        (IMAGES, LABELS / 3, {}, "regression"),
        (IMAGES, np.where(LABELS == 0, np.nan, LABELS), {}, "20 of 60 are NaN"),
        (IMAGES, np.eye(3, dtype=int)[LABELS], {}, "one-hot"),
        (IMAGES, (np.eye(3) + np.eye(3)[::-1])[LABELS] > 0, {}, "40 of 60 images have several labels and 0 have none"),
        (IMAGES, np.eye(4)[LABELS][:, 1:], {}, "0 of 60 images have several labels and 20 have none"),
        (IMAGES, np.full((60, 3), 1 / 3), {}, "keeps only the largest"),
        (IMAGES, np.array([["a", "b"]] * 60), {}, "one class per image"),
        (IMAGES, ["a", 7] * 30, {}, "got 30 x text .'a'. and 30 x integer .'7'.*\nhint: convert all to one type"),
        (IMAGES, ["a", float("nan")] * 30, {}, "30 of 60 labels are missing .*first for image 1"),
        (IMAGES, ["a", None] * 30, {}, "30 of 60 labels are missing"),
        (IMAGES, np.array(["a", ""] * 30), {}, "30 of 60 labels are missing"),
        (IMAGES, as_objects([["a", "b"], ["c"]] * 30), {}, "one class per image"),
        (IMAGES, as_objects([1.0, 2.0] * 30), {}, r"pass y.astype\(int\)"),
        (IMAGES, as_objects([True, 2] * 30), {}, "bool .* and 30 x integer"),
        (IMAGES, as_objects([object()] * 60), {}, "got 60 x object"),
        (IMAGES, as_objects([10**30, 1] * 30), {}, "too large"),
        (IMAGES, np.array([2**64 - 1, 1] * 30, np.uint64), {}, "too large"),
        (IMAGES, [b"a", b"\xff"] * 30, {}, "not UTF-8"),
        (IMAGES, ["cat", "cat "] * 30, {}, "'cat' and 'cat ' differ only in white space"),
        (IMAGES, ["a cat", "a  cat"] * 30, {}, "'a  cat' and 'a cat' differ only in white space"),
        (IMAGES, ["caf\u00e9", "cafe\u0301"] * 30, {}, "differ only in the encoding of letters"),
        (IMAGES, ["caf\udce9", "dog"] * 30, {}, "is not valid UTF-8\nhint: rename"),
        (IMAGES, ["two\nlines", "dog"] * 30, {}, "contains a control character\nhint: rename"),
        (IMAGES, LABELS - 1, {}, "-1 is not a class number"),
        (IMAGES, np.ma.array(LABELS, mask=LABELS > 1), {}, "missing labels"),
        (IMAGES, np.datetime64("2020-01-01") + LABELS, {}, "must be integers or texts"),
        (IMAGES, LABELS, {"classes": ["a", None, "c"]}, "names in classes must be texts"),
        (IMAGES, [[1], [2, 3]], {}, "labels of train: not an array.*not several labels"),
        (IMAGES, LABELS * 0, {}, "only one class, '0'"),
        (IMAGES, np.where(np.arange(60) == 7, 3, LABELS), {}, "'3' has 1"),
        (IMAGES, LABELS, {"classes": ["a", "b"]}, "2 is not among the classes"),
        (IMAGES, LABELS, {"classes": ["a", "b", "c", "d"]}, "no images of class 'd'"),
        (IMAGES, LABELS, {"classes": ["a", "b", "b"]}, "list of different names"),
        (IMAGES, LABELS, {"classes": "abc"}, "list of different names"),
        (IMAGES, LABELS, {"more": {"test": (IMAGES[:3, :2], [0, 1, 2])}}, "must have one shape"),
        (IMAGES, LABELS, {"more": {"test": (IMAGES[:3], [0, 1, 9])}}, "labels of test: 9 is not among the classes"),
        (IMAGES, LABELS, {"more": {"test": (OTHERS[:2], [0, 1])}}, "test: no images of class '2'"),
        (IMAGES, LABELS, {"more": {"test": (IMAGES[:2], ["0", "1"])}}, "must be of one type"),
    ],
)
def test_unusable_arrays_are_rejected(images, labels, settings, expected):
    """The message names the rule and what was received."""
    with pytest.raises(DataError, match=expected):
        build(images, labels, **settings)
