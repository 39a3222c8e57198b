"""Which files and class folders are found, and which are rejected."""

import os
import re
from unittest.mock import Mock

import pytest

from spaces import ImageFolder
from spaces.errors import DataError
from studies.data.sources import load
from tests.support.image_folders import folder_error, load_folder, split_sizes
from tests.support.images import write_classes, write_image

PAIR = {"cat": 5, "dog": 5}


def test_visible_images_are_found_at_any_depth(tmp_path):
    """Hidden and system files and folders, texts and tables are ignored; circular links are followed once."""
    write_classes(tmp_path, {"cat": 5, "cat/deep/er": 5, "dog": 5})
    for seed, extension in enumerate((".jpg", ".JPEG", ".bmp", ".gif", ".webp", ".Png")):
        write_image(tmp_path / "dog" / f"any{extension}", seed=10**6 + seed)
    for path in (".hidden/x.png", "__MACOSX/cat/x.png", "cat/.x.png", "cat/.deep/x.png", "dog/__MACOSX/x.png"):
        write_image(tmp_path / path)
    for path in ("cat/Thumbs.db", "cat/notes.txt", "dog/labels.csv", "dog/.DS_Store", "dog/desktop.ini", "README.md"):
        (tmp_path / path).write_text("")
    (tmp_path / "dog" / "again").symlink_to(tmp_path / "dog", target_is_directory=True)
    data = load_folder(tmp_path)
    assert (data.classes, sum(split_sizes(data)), data.skipped) == (("cat", "dog"), 21, ())


def test_names_may_contain_any_character(tmp_path):
    """Class names may be any text; file names may even contain line breaks and undecodable bytes."""
    names = ("größe 大きい", "two words", "emoji 👩‍🔬")
    folder = write_classes(tmp_path, {name: 4 for name in names})
    write_image(folder / names[0] / "a\nb \u00fc.png", seed=999_999)
    write_image(folder / names[1] / os.fsdecode(b"raw\xff.png"), seed=999_998)
    data = load_folder(folder)
    assert (data.classes, sum(split_sizes(data))) == (tuple(sorted(names)), 14)


def test_names_that_cannot_be_shown_are_rejected(tmp_path):
    """The message shows them escaped."""
    found = folder_error(write_classes(tmp_path, dict.fromkeys(("cat", os.fsdecode(b"raw\n\xff")), 4)))
    assert "is not valid UTF-8" in found
    assert found.replace("\n", "", 1).isprintable()


def test_names_that_differ_only_in_case_are_reported(tmp_path):
    """They may be one class; single letters are not."""
    assert "'Cat' and 'cat'" in load_folder(write_classes(tmp_path / "a", {"Cat": 4, "cat": 4})).notices[0]
    assert load_folder(write_classes(tmp_path / "b", {"A": 4, "a": 4})).notices == ()


def test_names_in_composed_and_decomposed_form_are_one_class(tmp_path):
    """macOS writes accents as letters of their own."""
    write_classes(tmp_path / "train", {"caf\u00e9": 4, "dog": 4})
    write_classes(tmp_path / "test", {"cafe\u0301": 4, "dog": 4}, seed=7)
    assert load_folder(tmp_path).classes == ("caf\u00e9", "dog")


def test_linked_class_folders_are_classes(tmp_path):
    """A broken link is an error, because a class would be missing silently."""
    write_classes(tmp_path / "elsewhere", PAIR)
    (tmp_path / "data").mkdir()
    for name in PAIR:
        (tmp_path / "data" / name).symlink_to(tmp_path / "elsewhere" / name, target_is_directory=True)
    assert load_folder(tmp_path / "data").classes == ("cat", "dog")
    (tmp_path / "data" / "bird").symlink_to(tmp_path / "nowhere")
    assert "broken link" in folder_error(tmp_path / "data")


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ("Cat", "differ only in case"),
        ("cow", "test=0.2"),
        ("cow", "only in test: 'cow'; only in train: 'cat'"),
    ],
)
def test_other_classes_in_the_test_folder_are_rejected(tmp_path, test, expected):
    """The message names the differences and the way out."""
    write_classes(tmp_path / "train", PAIR)
    write_classes(tmp_path / "test", {test: 3, "dog": 3}, seed=5)
    assert expected in folder_error(tmp_path)


def test_loose_images_have_no_label(tmp_path):
    """A folder of images without classes, or with more loose images than classified ones, is rejected."""
    for k in range(5):
        write_image(tmp_path / f"{k}.png", seed=10**6 + k)
    assert "(images directly in it: 5)" in folder_error(tmp_path)
    write_classes(tmp_path, {"cat": 2, "dog": 2})
    assert "5 images are directly in" in folder_error(tmp_path)


def test_a_missing_folder_is_named_with_its_origin(tmp_path):
    """The whole path is shown, and for a relative one the folder it starts from."""
    with pytest.raises(DataError, match=re.escape(f"{tmp_path / 'x'} ('x' is relative to {tmp_path})")):
        load(ImageFolder("x"), tmp_path)
    assert folder_error(tmp_path / "x") == f"image folder not found: {tmp_path / 'x'}"
    assert "is a file" in folder_error(write_image(tmp_path / "cat.png"))


def test_an_unreadable_folder_is_named_with_the_reason(tmp_path, monkeypatch):
    """The reason is that of the operating system."""
    monkeypatch.setattr(os, "scandir", Mock(side_effect=PermissionError(13, "Permission denied")))
    assert folder_error(tmp_path) == f"cannot read the folder {tmp_path}: permission denied"
