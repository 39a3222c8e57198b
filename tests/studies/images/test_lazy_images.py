"""Images that are read when they are asked for."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from spaces import ImageFolder
from spaces.errors import DataError
from studies.data import dataset
from studies.data.dataset import Dataset, Split, concatenate, copy_if_small, identity, subset
from studies.data.sources import load
from studies.images.image_cache import entries
from studies.images.lazy_images import LazyImages, raise_lost_files
from studies.training.feed import evaluation_data, training_feed
from tests.support.images import write_classes


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_classes(tmp_path / "photos", {"a": 20, "b": 20})


def loaded(folder: Path, **settings: object) -> Dataset:
    return load(ImageFolder(str(folder), **settings), Path("/nowhere"))


def test_without_the_cache_the_same_images_come_in_the_same_splits(photos):
    """`cache=False` writes nothing and decodes when asked, by a number, a slice or an array."""
    lazy = loaded(photos, cache=False)
    assert entries() == []
    assert isinstance(lazy.train.images, LazyImages)
    eager = loaded(photos)
    for part in ("train", "validation", "test"):
        a, b = getattr(lazy, part), getattr(eager, part)
        assert (a.images.shape, a.images.dtype, a.images.nbytes) == (b.images.shape, b.images.dtype, b.images.nbytes)
        assert np.array_equal(a.images[:], b.images)
        assert np.array_equal(a.images[np.array([2, 0])], b.images[[2, 0]])
        assert np.array_equal(a.images[1], b.images[1])
        assert np.array_equal(np.asarray(a.images), b.images)
        assert np.array_equal(a.labels, b.labels)
    assert identity(lazy) == identity(eager)
    assert lazy.image_shape == eager.image_shape


def test_uncached_images_feed_training_and_evaluation(photos):
    """Every image comes once an epoch, with its label."""
    data = loaded(photos, cache=False)
    labels = {image.tobytes(): label for image, label in zip(data.train.images[:], data.train.labels, strict=True)}
    feed = training_feed(data.train, 8, 0)
    seen = 0
    for images, found in feed.inputs["x"]:
        for image, label in zip(np.asarray(images), np.asarray(found), strict=True):
            assert labels[image.tobytes()] == label
            seen += 1
    assert seen == len(data.train)
    assert sum(len(batch[0]) for batch in evaluation_data(data.validation, 4)) == len(data.validation)


def test_uncached_parts_are_joined_without_being_read(photos):
    """Train plus validation is one list of files."""
    data = loaded(photos, cache=False)
    joined = concatenate(data.train, data.validation)
    assert isinstance(joined.images, LazyImages)
    assert np.array_equal(joined.images[:], np.concatenate([data.train.images[:], data.validation.images[:]]))


def test_files_that_cannot_be_read_are_left_out_before_the_first_trial(photos):
    """Every file is decoded once at the start, so that what is broken behind its first bytes is named too."""
    (photos / "a" / "text.jpg").write_text("no image")
    path = photos / "b" / "b_0000.png"
    path.write_bytes(path.read_bytes()[:80])
    lazy, eager = loaded(photos, cache=False), loaded(photos)
    assert [Path(path).name for path, _ in lazy.skipped] == ["text.jpg", "b_0000.png"]
    assert lazy.skipped == eager.skipped
    assert np.array_equal(lazy.train.images[:], eager.train.images)


def test_too_many_unreadable_files_are_refused_without_the_cache(photos):
    """`max_skipped` holds there too, and a class without any readable file has no images."""
    for number in range(3):
        (photos / "a" / f"a_{number:04d}.png").write_bytes(b"")
    with pytest.raises(DataError, match="3 of 40 files"):
        loaded(photos, cache=False)
    write_classes(photos, {"c": 4}, seed=7)
    for path in (photos / "c").iterdir():
        path.write_bytes(b"<html>")
    with pytest.raises(DataError, match="no images of class 'c'"):
        loaded(photos, cache=False, max_skipped=0.5)


def test_equal_pictures_are_found_without_the_cache(photos):
    """The splits and the reports are those of the cached images."""
    for number, name in enumerate(("a", "b")):
        (photos / name / "copy.png").write_bytes((photos / "a" / f"a_000{number}.png").read_bytes())
    lazy, eager = loaded(photos, cache=False), loaded(photos)
    assert lazy.notices == eager.notices
    assert lazy.notices
    assert np.array_equal(lazy.train.labels, eager.train.labels)


def everything(data: Dataset) -> Split:
    return concatenate(concatenate(data.train, data.validation), data.test)


def test_a_file_that_is_lost_during_a_run_is_black_and_named_once(photos, caplog):
    """Within `max_skipped` training continues."""
    images = everything(loaded(photos, cache=False)).images
    path = photos / "a" / "a_0000.png"
    path.write_bytes(path.read_bytes()[:80])
    with caplog.at_level(logging.WARNING):
        black = [not image.any() for image in images[:]]
        images[:]
    assert sum(black) == 1
    assert caplog.text.count("using a black image instead") == 1


def test_too_many_files_lost_during_a_run_end_it(photos):
    """More than `max_skipped` are never replaced."""
    images = everything(loaded(photos, cache=False)).images
    for number in range(3):
        (photos / "a" / f"a_{number:04d}.png").unlink()
    with pytest.raises(DataError, match=r"3 image files can no longer be read, more than max_skipped=0.05 allows"):
        images[:]


def test_a_class_lost_during_a_run_ends_it(photos):
    """However small it is, and whatever is allowed: here the test images of a class."""
    data = loaded(photos, cache=False, max_skipped=0.9)
    shutil.rmtree(photos / "a")
    with pytest.raises(DataError, match="all images of a class"):
        data.test.images[:]


def test_lost_files_are_told_where_a_library_hides_the_error(photos):
    """TensorFlow turns what a feed raises into an error of its own."""
    data = loaded(photos, cache=False)
    shutil.rmtree(photos / "a")
    feed = training_feed(data.train, 8, 0)
    with pytest.raises(DataError, match="no longer be read"), raise_lost_files(data.train.images):
        list(feed.inputs["x"])


def test_few_chosen_images_are_copied_and_many_are_not(photos, monkeypatch):
    """A large part of a memory map stays on disk until it is read."""
    data = loaded(photos)
    rows = np.array([5, 1, 3])
    copied = copy_if_small(subset(data.train, rows))
    monkeypatch.setattr(dataset, "MAX_COPIED_BYTES", 0)
    lazy = copy_if_small(subset(data.train, rows))
    assert isinstance(copied.images, np.ndarray)
    assert isinstance(lazy.images, LazyImages)
    assert np.array_equal(copied.images, lazy.images[:])
    assert copied.labels.tolist() == lazy.labels.tolist() == data.train.labels[rows].tolist()
    more = subset(data.validation, np.array([0]))
    joined = concatenate(lazy, more)
    assert isinstance(joined.images, LazyImages)
    expected = {image.tobytes() for image in (*lazy.images[:], *more.images[:])}
    assert {image.tobytes() for image in joined.images[:]} == expected


@pytest.mark.parametrize("limit", [0, 2**30])
def test_images_of_two_arrays_are_one_list(limit, monkeypatch):
    """What does not lie side by side is copied where it is little, else read when it is asked for."""
    monkeypatch.setattr(dataset, "MAX_COPIED_BYTES", limit)
    a, b = (np.full((3, 2, 2, 1), value, np.uint8) for value in (1, 2))
    labels = np.arange(2)
    joined = concatenate(*(Split(LazyImages(images, np.array([0, 2])), labels) for images in (a, b)))
    assert isinstance(joined.images, np.ndarray) == bool(limit)
    assert joined.images[:][:, 0, 0, 0].tolist() == [1, 1, 2, 2]
    assert joined.images[np.array([3, 0, 2])][:, 0, 0, 0].tolist() == [2, 1, 2]
