"""Image folders: how they are split, and which are refused."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from spaces import ImageFolder
from spaces.errors import DataError
from studies.data.dataset import Dataset, Split
from studies.data.sources import load
from tests.support.images import picture, write_classes, write_image

COUNTS = {"cat": 20, "dog": 10}


def identities(split: Split) -> set[bytes]:
    return {image.tobytes() for image in split.images}


def loaded(folder: Path, **settings: object) -> Dataset:
    return load(ImageFolder(str(folder), **settings), Path("/nowhere"))


def message(folder: Path, **settings: object) -> str:
    with pytest.raises(DataError) as caught:
        loaded(folder, **settings)
    return str(caught.value)


def test_a_folder_is_split_in_three(tmp_path):
    """20% are tested, 20% of the rest validated, in the classes' proportions, and no image is in two splits."""
    data = loaded(write_classes(tmp_path, {"cat": 50, "dog": 25}))
    assert data.classes == ("cat", "dog")
    assert [split.counts(data.classes) for split in (data.test, data.validation, data.train)] == [
        {"cat": 10, "dog": 5},
        {"cat": 8, "dog": 4},
        {"cat": 32, "dog": 16},
    ]
    found = [identities(split) for split in (data.train, data.validation, data.test)]
    assert sum(map(len, found)) == len(set.union(*found)) == 75
    assert data.image_shape == (8, 8, 3)
    assert data.train.images.dtype == np.uint8
    assert data.train.labels.dtype == np.int64


def test_images_keep_their_labels_and_pixels(tmp_path):
    """Every row is the image of its file, with the label of its folder."""
    data = loaded(write_classes(tmp_path, COUNTS))
    expected = {picture(number * 10_000 + k).tobytes(): number for number, n in enumerate((20, 10)) for k in range(n)}
    for split in (data.train, data.validation, data.test):
        for image, label in zip(split.images, split.labels, strict=True):
            assert expected.pop(image.tobytes()) == label
    assert not expected


def test_a_split_does_not_depend_on_the_file_system(tmp_path):
    """The same files, written in another order elsewhere, are split the same."""
    write_classes(tmp_path / "a", COUNTS)
    for path in sorted((tmp_path / "a").rglob("*.png"), reverse=True):
        target = tmp_path / "b" / path.relative_to(tmp_path / "a")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    a, b = (load(ImageFolder(name), tmp_path, cache=tmp_path / f"cache_{name}") for name in "ab")
    for split in ("train", "validation", "test"):
        assert np.array_equal(getattr(a, split).images, getattr(b, split).images)


def test_another_validation_share_leaves_the_test_images_alone(tmp_path):
    """What is tested at the end does not change with how trials are judged."""
    folder = write_classes(tmp_path, COUNTS)
    a, b = loaded(folder, validation=0.1), loaded(folder, validation=0.5)
    assert identities(a.test) == identities(b.test)
    assert len(a.validation) == 2
    assert len(b.validation) == 12


def test_a_folder_that_is_already_split_is_taken_as_it_is(tmp_path):
    """`train`, `val` and `test` with class folders inside are the splits."""
    for seed, (name, count) in enumerate({"train": 6, "val": 2, "test": 3}.items()):
        write_classes(tmp_path / name, {"a": count, "b": count}, seed=seed)
    data = loaded(tmp_path)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [12, 4, 6]
    assert not identities(data.train) & (identities(data.validation) | identities(data.test))


def test_the_test_folder_beside_train_is_taken(tmp_path):
    """`train` named by itself finds its `test`; another folder does not take a `test` that stands near it."""
    write_classes(tmp_path / "train", COUNTS, seed=0)
    write_classes(tmp_path / "test", {"cat": 2, "dog": 3}, seed=1)
    assert loaded(tmp_path / "train").test.counts(("cat", "dog")) == {"cat": 2, "dog": 3}
    (tmp_path / "train").rename(tmp_path / "photos")
    assert len(loaded(tmp_path / "photos").test) == 6


def test_named_folders_are_the_splits(tmp_path):
    """`test` and `validation` may be folders anywhere, looked up from the space file's."""
    for seed, name in enumerate(("x", "y", "z")):
        write_classes(tmp_path / name, {"a": 3 + seed, "b": 3}, seed=seed)
    data = load(ImageFolder("x", test="y", validation="z"), tmp_path)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [6, 8, 7]


def test_a_class_may_be_named_train(tmp_path):
    """`train` with images directly inside is a class like any other."""
    data = loaded(write_classes(tmp_path, {"bus": 5, "train": 5}))
    assert data.classes == ("bus", "train")


def test_images_are_found_at_any_depth_and_what_is_hidden_is_not(tmp_path):
    """Sub-folders of a class belong to it; hidden and system files and folders belong to nobody."""
    write_classes(tmp_path, {"cat": 5, "cat/deep/er": 5, "dog": 5})
    for path in (".hidden/x.png", "__MACOSX/cat/x.png", "cat/.x.png", "cat/.deep/x.png", "dog/__MACOSX/x.png"):
        write_image(tmp_path / path)
    for path in ("cat/Thumbs.db", "cat/notes.txt", "dog/labels.csv", "dog/.DS_Store", "dog/desktop.ini", "README.md"):
        (tmp_path / path).write_text("")
    data = loaded(tmp_path)
    assert data.classes == ("cat", "dog")
    assert len(data.train) + len(data.validation) + len(data.test) == 15
    assert data.skipped == ()


def test_links_in_a_circle_end(tmp_path):
    """A link to a folder above is followed no further."""
    write_classes(tmp_path, {"a": 5, "b": 5})
    (tmp_path / "a" / "again").symlink_to(tmp_path / "a", target_is_directory=True)
    data = loaded(tmp_path)
    assert len(data.train) + len(data.validation) + len(data.test) == 10


@pytest.mark.parametrize("extension", [".jpg", ".JPEG", ".bmp", ".gif", ".webp", ".Png"])
def test_every_kind_of_image_is_found_in_any_case(tmp_path, extension):
    """JPEG, PNG, BMP, GIF and WebP are known by their extension."""
    data = loaded(write_classes(tmp_path, {"a": 4, "b": 4}, extension=extension))
    assert len(data.train) + len(data.validation) + len(data.test) == 8


def test_any_character_may_stand_in_a_name(tmp_path):
    """Unicode and spaces are names like others; those of files may hold line breaks and bytes that are no text."""
    names = ("größe 大きい", "two words", "emoji 👩‍🔬")
    folder = write_classes(tmp_path, {name: 4 for name in names})
    write_image(folder / names[0] / "a\nb \u00fc.png", seed=999_999)
    write_image(folder / names[1] / os.fsdecode(b"raw\xff.png"), seed=999_998)
    data = loaded(folder)
    assert len(data.train) + len(data.validation) + len(data.test) == 14
    assert data.classes == tuple(sorted(names))


def test_the_size_is_the_median_side_at_most_128(tmp_path):
    """Without `image_size` images become squares of their median side."""
    write_classes(tmp_path / "small", {"a": 4, "b": 4}, height=20, width=30)
    write_classes(tmp_path / "large", {"a": 4, "b": 4}, height=200, width=300)
    assert loaded(tmp_path / "small").image_shape == (25, 25, 3)
    assert loaded(tmp_path / "large").image_shape == (128, 128, 3)


def test_size_channels_and_resize_are_taken_from_the_record(tmp_path):
    """(height, width), grey and `pad` reach the images and the dataset."""
    data = loaded(write_classes(tmp_path, COUNTS), image_size=(6, 10), channels=1, resize="pad")
    assert data.image_shape == (6, 10, 1)
    assert data.resize == "pad"
    assert not data.train.images[:, :, 0].any()


def test_a_few_unreadable_files_are_skipped_and_named(tmp_path):
    """Truncated, empty and foreign files are reported with the reason; the rest is stratified."""
    write_classes(tmp_path, {"a": 40, "b": 40})
    whole = write_image(tmp_path / "a" / "whole.jpg", height=64, width=64).read_bytes()
    (tmp_path / "a" / "whole.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "a" / "empty.png").touch()
    (tmp_path / "b" / "text.jpg").write_text("no image")
    (tmp_path / "b" / "scan.tif").write_bytes(b"II*\0")
    data = loaded(tmp_path)
    reasons = {Path(path).name: reason for path, reason in data.skipped}
    assert reasons.keys() == {"whole.jpg", "empty.png", "text.jpg", "scan.tif"}
    assert "truncated" in reasons["whole.jpg"]
    assert reasons["empty.png"] == "the file is empty"
    assert reasons["text.jpg"] == "not a JPEG, PNG, BMP, GIF or WebP image"
    assert "file name is not" in reasons["scan.tif"]
    assert [split.counts(data.classes) for split in (data.test, data.validation)] == [
        {"a": 8, "b": 8},
        {"a": 7, "b": 6},
    ]
    assert sorted(loaded(tmp_path).skipped) == sorted(data.skipped)


def test_too_many_unreadable_files_are_an_error(tmp_path):
    """Beyond `max_skipped` the first few are named, on every run."""
    write_classes(tmp_path, {"a": 10, "b": 10})
    for k in range(7):
        (tmp_path / "a" / f"bad{k}.png").touch()
    for _ in range(2):
        found = message(tmp_path)
        assert "7 of 27 files" in found
        assert "bad0.png: the file is empty" in found
        assert "and 2 more" in found
    assert len(loaded(tmp_path, max_skipped=0.5).skipped) == 7


def test_only_unreadable_files_are_an_error_whatever_is_allowed(tmp_path):
    """Nothing to train on is never fine."""
    for name in ("a/1.png", "a/2.png", "a/3.png", "b/1.png", "b/2.png", "b/3.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert "6 of 6 files" in message(tmp_path, max_skipped=1.0)


def test_a_class_that_loses_its_images_is_an_error(tmp_path):
    """What is left after skipping must still be a data set."""
    write_classes(tmp_path, {"a": 90})
    for k in range(3):
        path = tmp_path / "b" / f"{k}.png"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert "no images of class 'b'" in message(tmp_path)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({}, "has no class folders"),
        ({"a": 9}, "only one class, 'a'"),
        ({"a": 9, "b": 0}, "no images of class 'b'"),
        ({"a": 9, "b": 1}, "'b' has 1"),
        ({"a": 9, "b": 2}, "needs at least 3 images (for training, validation and test), but 'b' has 2"),
    ],
)
def test_a_folder_without_enough_of_each_class_is_refused(tmp_path, counts, expected):
    """No classes, one class, an empty class and a class that cannot be split, each with its name."""
    write_classes(tmp_path, counts)
    for name in counts:
        (tmp_path / name).mkdir(exist_ok=True)
    assert expected in message(tmp_path)
    assert str(tmp_path) in message(tmp_path)


def test_loose_images_are_counted_in_the_message(tmp_path):
    """A folder of images without classes says what to do."""
    write_image(tmp_path / "one.jpg")
    assert "(images directly in it: 1)" in message(tmp_path)


def test_a_missing_folder_says_where_it_was_looked_up(tmp_path):
    """The whole path is shown, and for a relative one the folder it starts from."""
    with pytest.raises(
        DataError, match=re.escape(f"image folder not found: {tmp_path / 'x' / 'y'} ('x/y' is relative to {tmp_path})")
    ):
        load(ImageFolder("x/y"), tmp_path)
    assert message(tmp_path / "x").endswith(f"not found: {tmp_path / 'x'}")


def test_a_file_in_place_of_a_folder_is_refused(tmp_path):
    """A file is not a folder of class folders."""
    assert "is a file" in message(write_image(tmp_path / "cat.png"))


def test_a_folder_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    """The reason of the system is passed on."""
    write_classes(tmp_path, COUNTS)
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("dog"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert message(tmp_path) == f"cannot read the folder {tmp_path / 'dog'}: permission denied"


def test_a_test_folder_with_other_classes_is_refused(tmp_path):
    """Both differences are named."""
    write_classes(tmp_path / "train", {"cat": 5, "dog": 5})
    write_classes(tmp_path / "test", {"cat": 2, "cow": 2})
    assert "only in test: 'cow'; only in train: 'dog'" in message(tmp_path)


def test_an_empty_class_of_the_test_folder_is_refused(tmp_path):
    """A class that cannot be tested has no result."""
    write_classes(tmp_path / "train", {"cat": 5, "dog": 5})
    write_classes(tmp_path / "test", {"cat": 2})
    (tmp_path / "test" / "dog").mkdir()
    assert "test: no images of class 'dog'" in message(tmp_path)


def test_one_folder_cannot_be_two_parts(tmp_path):
    """What is trained on may not judge the model."""
    folder = write_classes(tmp_path, COUNTS)
    assert "test and train use the same folder" in message(folder, test=str(folder))
    assert "validation and train use the same folder" in message(folder, validation=str(folder))


@pytest.mark.parametrize("name", ["validation", "val", "Valid"])
def test_folder_means_the_validation_folder_beside_train(tmp_path, name):
    """`validation="folder"` takes it under each of its names, inside a split folder and beside `train`."""
    for seed, part in enumerate(("train", name, "test")):
        write_classes(tmp_path / part, {"a": 3 + seed, "b": 3}, seed=seed)
    for folder in (tmp_path, tmp_path / "train"):
        assert len(loaded(folder, validation="folder").validation) == 7
    assert len(loaded(tmp_path / "train").validation) < 7


def test_folder_without_a_validation_folder_is_refused(tmp_path):
    """The message says what to do; a share is never taken instead."""
    write_classes(tmp_path / "train", COUNTS)
    assert "validation='folder' expects validation/, val/ or valid/" in message(tmp_path / "train", validation="folder")
