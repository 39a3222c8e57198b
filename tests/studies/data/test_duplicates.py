"""Which duplicates and near-duplicates are found, and what is done about them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from studies.data import decode_to_cache
from studies.data.arrays import dataset_from_arrays
from studies.data.dataset import Dataset
from studies.data.duplicates import Duplicates, SplitOverlap, hash_images
from tests.support.image_folders import all_bytes, folder_error, image_bytes, load_folder, split_sizes
from tests.support.images import picture, write_classes, write_image


def scene(seed: int, side: int = 64) -> Image.Image:
    """A picture with large shapes, like a photograph."""
    return Image.fromarray(picture(seed, 7, 7)).resize((side, side), Image.Resampling.BICUBIC)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Train, validation and test, each with 12 different images of two classes."""
    for seed, split in enumerate(("train", "val", "test")):
        write_classes(tmp_path / split, {"a": 6, "b": 6}, seed=seed)
    return tmp_path


def labels_of(data: Dataset) -> list[list[int]]:
    return [split.labels.tolist() for split in (data.test, data.validation, data.train)]


def copy(folder: Path, source: str, target: str) -> None:
    (folder / target).write_bytes((folder / source).read_bytes())


def test_duplicates_are_left_out_of_test_and_validation(photos, monkeypatch):
    """Train keeps its images, and test those that are only in validation too; the cache remembers it."""
    before = image_bytes(load_folder(photos).test)
    copy(photos, "train/b/b_0000.png", "test/b/b_0000.png")
    copy(photos, "train/b/b_0000.png", "val/b/y.png")
    copy(photos, "test/a/a_0002.png", "val/a/z.png")
    Image.open(photos / "train/a/a_0003.png").save(photos / "test/a/x.bmp")
    data = load_folder(photos)
    assert split_sizes(data) == [12, 12, 11]
    assert set(image_bytes(data.test)) < set(before)
    pairs = {(pair.split, pair.other): pair for pair in data.duplicates.pairs}
    assert {key: pair.duplicates for key, pair in pairs.items()} == {
        ("test", "train"): 2,
        ("validation", "train"): 1,
        ("validation", "test"): 1,
    }
    assert (f"{photos}/test/b/b_0000.png", f"{photos}/train/b/b_0000.png") in pairs["test", "train"].examples
    assert data.duplicates.removed("validation") == 2
    monkeypatch.setattr(decode_to_cache, "decode_files", None)
    again = load_folder(photos)
    assert again.duplicates == data.duplicates
    assert all_bytes(again) == all_bytes(data)


def test_a_class_that_loses_all_its_images_is_an_error(photos):
    """The split, the class and the reason are named."""
    for k in range(6):
        copy(photos, f"train/a/a_{k:04d}.png", f"test/a/a_{k:04d}.png")
    assert f"{photos}/test (without unreadable files and duplicates): no images of class 'a'" in folder_error(photos)


def test_duplicates_stay_in_one_split(tmp_path):
    """If search splits the images, none is lost and every class is in each split."""
    write_classes(tmp_path, {"a": 30, "b": 30})
    for k in range(20):
        copy(tmp_path, f"a/a_{k:04d}.png", f"a/again_{k:04d}.png")
        copy(tmp_path, f"a/a_{k:04d}.png", f"b/other_{k:04d}.png")
    data = load_folder(tmp_path)
    splits = [set(image_bytes(split)) for split in (data.train, data.validation, data.test)]
    assert sum(split_sizes(data)) == 100
    assert len(set.union(*splits)) == sum(map(len, splits)) == 60
    assert data.duplicates == Duplicates()


def test_a_class_of_duplicates_cannot_be_split(tmp_path):
    """Three copies of one image count as one."""
    write_classes(tmp_path, {"a": 10, "b": 1})
    for k in range(1, 4):
        copy(tmp_path, "b/b_0000.png", f"b/{k}.png")
    assert "needs at least 3 images (for training, validation and test), but 'b' has 1" in folder_error(tmp_path)


def test_arrays_are_compared_too():
    """The examples name the arrays and their rows."""
    train, test = (np.random.default_rng(seed).integers(0, 256, (20, 8, 8, 3), np.uint8) for seed in range(2))
    test[3] = train[5]
    labels = np.tile([0, 1], 10)
    data = dataset_from_arrays({"train": (train, labels), "test": (test, labels)}, "x", validation=0.2, test=None)
    assert len(data.test) == 19
    assert data.duplicates.pairs == (SplitOverlap("test", "train", 1, 0, (("test[3]", "train[5]"),)),)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("recompressed.jpg", lambda image: image),
        ("brighter.png", lambda image: ImageEnhance.Brightness(image).enhance(0.8)),
        ("smaller.png", lambda image: image.resize((48, 48))),
    ],
)
def test_near_duplicates_are_counted_and_kept(photos, name, change):
    """A recompressed, brightened or scaled image is found by its difference hash."""
    for seed, path in enumerate(sorted(photos.rglob("*.png"))):
        scene(seed).save(path)
    change(Image.open(photos / "train/a/a_0000.png")).save(photos / "test/a" / name, quality=90)
    data = load_folder(photos, image_size=64)
    [pair] = [pair for pair in data.duplicates.pairs if pair.split == "test"]
    assert (pair.duplicates, pair.near_duplicates) == (0, 1)
    assert Path(pair.examples[0][0]).name == name
    assert len(data.test) == 13


def test_flat_images_have_no_difference_hash():
    """One colour, a slope and an image with a single edge are similar to too many others."""
    slope = np.broadcast_to(np.arange(32, dtype=np.uint8) * 7, (32, 32))
    edge = np.zeros((32, 32), np.uint8)
    edge[:, 16:] = 255
    flat = np.stack([np.full((32, 32), 130, np.uint8), slope, slope[:, ::-1], edge])[..., np.newaxis]
    assert not hash_images(flat).perceptual.any()
    assert hash_images(np.asarray(scene(1))[np.newaxis]).perceptual.all()


def test_hashes_do_not_depend_on_the_block_size(monkeypatch):
    """Each image has a hash of its own pixels."""
    images = np.stack([np.asarray(scene(seed, 16)) for seed in range(9)])
    whole = hash_images(images)
    monkeypatch.setattr("studies.data.duplicates._BLOCK_BYTES", 1)
    assert np.array_equal(whole, hash_images(images))
    assert len(np.unique(whole.exact)) == 9


def test_notices_count_what_was_left_out_and_kept():
    """One line for each pair of splits."""
    assert Duplicates((SplitOverlap("test", "train", 12, 40), SplitOverlap("validation", "test", 0, 1))).notices() == (
        "test had 12 duplicates of train images, now left out, and 40 near-duplicates of train images, which are kept",
        "validation has 1 near-duplicate of test images; kept",
    )


def test_an_unusable_cache_folder_changes_no_images(tmp_path, caplog):
    """In memory as on disk, unreadable files and duplicates are left out, and the splits remain stratified."""
    for seed, split in enumerate(("train", "test")):
        write_classes(tmp_path / split, {"a": 10, "b": 10}, seed=seed)
    (tmp_path / "train" / "a" / "broken.png").touch()
    copy(tmp_path, "train/a/a_0000.png", "test/b/x.png")
    write_image(tmp_path / "test" / "b" / "new.png", seed=99)
    (tmp_path / "file").touch()
    cached, in_memory = load_folder(tmp_path), load_folder(tmp_path, cache_folder=tmp_path / "file")
    assert "unavailable" in caplog.text
    assert all_bytes(cached) == all_bytes(in_memory)
    assert labels_of(cached) == labels_of(in_memory)
    assert (cached.duplicates, cached.skipped) == (in_memory.duplicates, in_memory.skipped)
    assert (len(cached.test), len(cached.skipped)) == (21, 1)
