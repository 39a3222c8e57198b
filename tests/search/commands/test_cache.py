"""`search cache`: listing and emptying."""

import re
from pathlib import Path

import pytest

from spaces import ImageFolder
from studies.data.sources import load
from studies.images import image_cache
from tests.support.images import write_classes


@pytest.fixture
def folder(monkeypatch, tmp_path) -> Path:
    """A cache with one entry."""
    monkeypatch.setenv("SEARCH_CACHE", str(tmp_path / "cache"))
    load(ImageFolder(str(write_classes(tmp_path / "photos", {"a": 4, "b": 4}))), tmp_path)
    return tmp_path / "cache"


def test_entries_and_total_are_listed(search, folder, tmp_path):
    """What, how many images, their shape, the size, the last use and where from."""
    done = search("cache")
    assert done.exit_code == 0
    assert re.search(rf"images +8 +8x8x3 +\S+ kB +\S+ ago +{tmp_path}/photos", done.stdout)
    assert re.search(rf"1 entry, \S+ kB in {folder}", done.stdout)


def test_clear_frees_what_was_listed(search, folder):
    """It says how much, and nothing is left."""
    size = sum(entry.bytes for entry in image_cache.entries())
    done = search("cache", "--clear")
    assert done.exit_code == 0
    assert done.stdout == f"{size / 1e3:.3g} kB freed in {folder}\n"
    assert image_cache.entries() == []
    assert search("cache").stdout == f"0 entries, 0 kB in {folder}\n"


def test_another_folder_can_be_given(search, folder, tmp_path, monkeypatch):
    """`--cache` goes before SEARCH_CACHE; a folder that is not there holds nothing."""
    done = search("cache", "--cache", tmp_path / "other")
    assert done.stdout == f"0 entries, 0 kB in {tmp_path / 'other'}\n"


def test_what_cannot_be_removed_ends_with_8(search, folder, monkeypatch):
    """One message that names the folder; nothing is claimed to be freed."""
    monkeypatch.setattr(image_cache.shutil, "rmtree", lambda *_, **__: None)
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
    done = search("cache", "--clear")
    assert done.exit_code == 8
    assert f"1 entry of the cache folder {folder} cannot be removed" in done.stderr


def test_a_file_in_place_of_the_folder_ends_with_8(search, tmp_path, monkeypatch):
    """The message says what to give instead."""
    monkeypatch.setenv("SEARCH_CACHE", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    for words in ((), ("--clear",)):
        done = search("cache", *words)
        assert done.exit_code == 8
        assert "is a file: give another with --cache" in done.stderr
