"""`search cache` lists and clears the cache."""

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
    """Type, number and shape of the images, size, last use and source; `--cache` wins over SEARCH_CACHE."""
    done = search("cache")
    assert re.search(rf"images +8 +8x8x3 +\S+ kB +\S+ ago +{tmp_path}/photos", done.stdout)
    assert re.search(rf"1 entry, \S+ kB in {folder}", done.stdout)
    assert search("cache", "--cache", tmp_path / "other").stdout == f"0 entries, 0 kB in {tmp_path / 'other'}\n"


def test_clear_deletes_everything(search, folder):
    """The freed size is shown, and nothing is left."""
    size = sum(entry.bytes for entry in image_cache.entries())
    assert search("cache", "--clear").stdout == f"Freed {size / 1e3:.3g} kB in {folder}\n"
    assert image_cache.entries() == []
    assert search("cache").stdout == f"0 entries, 0 kB in {folder}\n"


def test_entries_that_cannot_be_deleted_end_with_8(refused, folder, monkeypatch):
    """The error names the folder."""
    monkeypatch.setattr(image_cache.shutil, "rmtree", lambda *_, **__: None)
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
    assert f"1 entry of the cache folder {folder}" in refused(8, "cache", "--clear")


@pytest.mark.parametrize("words", [(), ("--clear",)])
def test_a_file_instead_of_the_folder_ends_with_8(refused, tmp_path, monkeypatch, words):
    """The hint is to pass another folder."""
    monkeypatch.setenv("SEARCH_CACHE", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    assert "is a file\nhint: pass --cache" in refused(8, "cache", *words)
