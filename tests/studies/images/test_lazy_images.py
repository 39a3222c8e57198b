"""Images that are read on access."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from spaces.errors import DataError
from studies.data import dataset
from studies.data.dataset import Split, concatenate, identity
from studies.images.image_cache import entries
from studies.images.lazy_images import LazyImages, raise_lost_files
from studies.training.feed import evaluation_data, training_feed
from tests.support.image_folders import folder_error, image_bytes, load_folder
from tests.support.images import write_classes


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_classes(tmp_path / "photos", {"a": 20, "b": 20})


@pytest.mark.parametrize("is_spoiled", [False, True])
def test_splits_are_the_same_without_the_cache(photos, is_spoiled):
    """`cache=False` writes nothing, decodes on access and reports the same unreadable files and duplicates."""
    if is_spoiled:
        (photos / "a" / "text.jpg").write_text("no image")
        # Its header can be read, its pixels cannot.
        (photos / "b" / "b_0000.png").write_bytes((photos / "b" / "b_0000.png").read_bytes()[:80])
        for number, name in enumerate(("a", "b")):
            (photos / name / "copy.png").write_bytes((photos / "a" / f"a_000{number}.png").read_bytes())
    lazy = load_folder(photos, cache=False)
    assert entries() == []
    eager = load_folder(photos)
    for a, b in ((lazy.train, eager.train), (lazy.validation, eager.validation), (lazy.test, eager.test)):
        assert isinstance(a.images, LazyImages)
        assert (a.images.shape, a.images.dtype, a.images.nbytes) == (b.images.shape, b.images.dtype, b.images.nbytes)
        for key in (slice(None), np.array([2, 0]), 1):
            assert np.array_equal(a.images[key], b.images[key])
        assert np.array_equal(np.asarray(a.images), b.images)
        assert np.array_equal(a.labels, b.labels)
    assert identity(lazy) == identity(eager)
    assert (lazy.image_shape, lazy.skipped, lazy.notices) == (eager.image_shape, eager.skipped, eager.notices)
    assert [Path(path).name for path, _ in lazy.skipped] == ["text.jpg", "b_0000.png"] * is_spoiled
    assert bool(lazy.notices) == is_spoiled
    joined = concatenate(lazy.train, lazy.validation)
    assert isinstance(joined.images, LazyImages)
    assert image_bytes(joined) == image_bytes(lazy.train) + image_bytes(lazy.validation)


def test_uncached_images_feed_training_and_evaluation(photos):
    """Every image comes once per epoch, with its label."""
    data = load_folder(photos, cache=False)
    expected = sorted(zip(image_bytes(data.train), data.train.labels, strict=True))
    for batches in (training_feed(data.train, 8, 0).inputs["x"], evaluation_data(data.train, 4)):
        found = [np.concatenate(part) for part in zip(*batches, strict=True)]
        assert sorted((image.tobytes(), label) for image, label in zip(*found, strict=True)) == expected


def test_too_many_unreadable_files_are_rejected_without_the_cache(photos):
    """`max_skipped` also holds there, and a class without a readable file has no images."""
    for number in range(3):
        (photos / "a" / f"a_{number:04d}.png").write_bytes(b"")
    assert "3 of 40 files" in folder_error(photos, cache=False)
    write_classes(photos, {"c": 4}, seed=7)
    for path in (photos / "c").iterdir():
        path.write_bytes(b"<html>")
    assert "no images of class 'c'" in folder_error(photos, cache=False, max_skipped=0.5)


def test_a_file_lost_during_a_run_becomes_black_with_one_warning(photos, caplog):
    """Within `max_skipped` training continues."""
    images = load_folder(photos, cache=False).train.images
    path = Path(images.source.paths[images.rows[0]])
    path.write_bytes(path.read_bytes()[:80])
    with caplog.at_level(logging.WARNING):
        assert [bool(image.any()) for image in images[:]] == [False, *[True] * (len(images) - 1)]
        images[:]
    assert caplog.text.count("using a black image instead") == 1


def test_too_many_files_lost_during_a_run_end_it(photos):
    """More than `max_skipped` are never replaced; neither are all images of a class in a split."""
    data = load_folder(photos, cache=False)
    for row in data.train.images.rows[:3]:
        Path(data.train.images.source.paths[row]).unlink()
    with pytest.raises(DataError, match=r"3 image files can no longer be read, more than max_skipped=0.05 allows"):
        data.train.images[:]
    data = load_folder(photos, cache=False, max_skipped=0.9)
    shutil.rmtree(photos / "a")
    with pytest.raises(DataError, match="all images of a class"):
        data.test.images[:]


def test_lost_files_are_reported_although_a_library_hides_the_error(photos):
    """TensorFlow turns the error of a feed into an error of its own."""
    data = load_folder(photos, cache=False)
    shutil.rmtree(photos / "a")
    feed = training_feed(data.train, 8, 0)
    with pytest.raises(DataError, match="no longer be read"), raise_lost_files(data.train.images):
        list(feed.inputs["x"])


@pytest.mark.parametrize("limit", [0, 2**30])
def test_images_of_two_arrays_are_concatenated(limit, monkeypatch):
    """Images that are not adjacent are copied if they are small, else read on access."""
    monkeypatch.setattr(dataset, "MAX_COPIED_BYTES", limit)
    a, b = (np.full((3, 2, 2, 1), value, np.uint8) for value in (1, 2))
    joined = concatenate(*(Split(LazyImages(images, np.array([0, 2])), np.arange(2)) for images in (a, b)))
    assert isinstance(joined.images, np.ndarray) == bool(limit)
    assert joined.images[:][:, 0, 0, 0].tolist() == [1, 1, 2, 2]
    assert joined.images[np.array([3, 0, 2])][:, 0, 0, 0].tolist() == [2, 1, 2]
