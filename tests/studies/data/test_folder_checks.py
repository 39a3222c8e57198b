"""Folders with too few images of a class, or with too many unusable files."""

from pathlib import Path

import pytest

from tests.support.image_folders import folder_error, load_folder
from tests.support.images import write_classes, write_image


def spoil(folder: Path, *names: str, content: bytes = b"") -> None:
    """Write files that are no images."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({}, "has no class folders"),
        ({"a": 9, "a/more": 4}, "only one class, 'a'"),
        ({"a": 9, "b": 0}, "no images of class 'b'"),
        ({"train/a": 0, "train/b": 0, "test/a": 0, "test/b": 0}, "no images of 2 classes ('a', 'b')"),
        ({"train/a": 5, "train/b": 5, "test/a": 2, "test/b": 0}, "test: no images of class 'b'"),
        ({"a": 9, "b": 2}, "needs at least 3 images (for training, validation and test), but 'b' has 2"),
    ],
)
def test_too_few_images_of_a_class_are_rejected(tmp_path, counts, expected):
    """The message names the class and the folder."""
    write_classes(tmp_path, counts)
    for name in counts:
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
    found = folder_error(tmp_path)
    assert expected in found
    assert str(tmp_path) in found


@pytest.mark.parametrize("extension", [".tif", ".heic", ".avif", ".npy", ".pdf", ".dcm", ".mp4", ".svg", ".dng"])
def test_unsupported_files_of_an_empty_class_are_named(tmp_path, extension):
    """The message says how many there are and what to do."""
    write_classes(tmp_path, {"cat": 5})
    spoil(tmp_path, *(f"dog/{k}{extension}" for k in range(3)))
    expected = f"no images of class 'dog' (files there: 3 {extension}; convert them to PNG or JPEG"
    assert expected in folder_error(tmp_path)


def test_a_few_unreadable_files_are_skipped(tmp_path):
    """They are reported with the reason, on every load, and the rest is stratified."""
    write_classes(tmp_path, {"a": 40, "b": 40})
    whole = write_image(tmp_path / "a" / "whole.jpg", height=64, width=64).read_bytes()
    spoil(tmp_path, "a/whole.jpg", content=whole[: len(whole) // 2])
    spoil(tmp_path, "a/empty.png")
    spoil(tmp_path, "b/text.jpg", "b/scan.tif", content=b"no image")
    data = load_folder(tmp_path)
    reasons = {Path(path).name: reason for path, reason in data.skipped}
    assert reasons.pop("whole.jpg").startswith("truncated")
    assert reasons.pop("scan.tif").startswith("file name is not")
    assert reasons == {"empty.png": "the file is empty", "text.jpg": "not a JPEG, PNG, BMP, GIF or WebP image"}
    assert data.test.counts(data.classes) == {"a": 8, "b": 8}
    assert data.validation.counts(data.classes) == {"a": 7, "b": 6}
    assert sorted(load_folder(tmp_path).skipped) == sorted(data.skipped)


def test_too_many_unreadable_files_are_rejected(tmp_path):
    """Beyond `max_skipped` the first few are named, on every load."""
    write_classes(tmp_path, {"a": 10, "b": 10})
    spoil(tmp_path, *(f"a/bad{k}.png" for k in range(4)), "a/a.tif", "a/b.tif", "a/c.HEIC")
    for _ in range(2):
        found = folder_error(tmp_path)
        for expected in ("7 of 27 files", "bad0.png: the file is empty", "and 2 more", "PNG or JPEG (2 .tif, 1 .heic)"):
            assert expected in found
    assert len(load_folder(tmp_path, max_skipped=0.5).skipped) == 7


@pytest.mark.parametrize(
    ("counts", "bad", "limit", "expected"),
    [
        ({"a": 3, "b": 3}, {"a": 3, "b": 3}, 1.0, "6 of 6 files"),
        ({"a": 90, "b": 3}, {"b": 3}, 0.05, "no images of class 'b'"),
        ({"a": 90, "b": 90, "c": 8}, {"c": 5}, 0.05, "5 of 8 files of class 'c'"),
        (
            {"train/a": 60, "train/b": 60, "test/a": 5, "test/b": 5},
            {"test/a": 3},
            0.05,
            "3 of 10 files of {folder}/test",
        ),
    ],
)
def test_the_limit_holds_for_every_split_and_class(tmp_path, counts, bad, limit, expected):
    """A small class or split may not lose most of its files, however large the others are."""
    write_classes(tmp_path, counts)
    for name, count in bad.items():
        spoil(tmp_path, *(f"{name}/{Path(name).name}_{k:04d}.png" for k in range(count)), content=b"<html>")
    assert expected.format(folder=tmp_path) in folder_error(tmp_path, max_skipped=limit)
