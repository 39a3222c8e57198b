"""The cache folder: its location, entries, size limit and locks."""

import os

import pytest

from spaces.errors import DataError
from studies.images.image_cache import build_lock, cache_root, clear, entries
from tests.support.image_folders import load_folder


def test_the_cache_folder_is_the_argument_the_variable_or_the_users(monkeypatch, tmp_path):
    """In this order."""
    monkeypatch.setenv("SEARCH_CACHE", str(tmp_path / "variable"))
    assert cache_root(tmp_path / "argument").parent == tmp_path / "argument"
    assert cache_root().parent == tmp_path / "variable"
    monkeypatch.delenv("SEARCH_CACHE")
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name, appauthor: str(tmp_path / name))
    assert cache_root().parent == tmp_path / "search"


def test_the_least_recently_used_entries_are_removed(photos, cache, monkeypatch):
    """Beyond the limit the oldest go; the newest stays even if it alone is too large."""
    for side in (4, 5, 6):
        load_folder(photos, image_size=side)
    for age, entry in enumerate(sorted(entries(), key=lambda entry: entry.shape)):
        os.utime(cache / "decoded" / "entries" / entry.key / "entry.json", (age, age))
    load_folder(photos, image_size=4)
    monkeypatch.setenv("SEARCH_CACHE_GB", str(sum(entry.bytes for entry in entries()) / 1e9))
    load_folder(photos, image_size=7)
    assert sorted(entry.shape[1] for entry in entries()) == [4, 7]
    monkeypatch.setenv("SEARCH_CACHE_GB", "0")
    load_folder(photos, image_size=8)
    assert [entry.shape[1] for entry in entries()] == [8]


@pytest.mark.parametrize("limit", ["many", "-1", "nan"])
def test_an_invalid_size_limit_is_rejected(photos, monkeypatch, limit):
    """SEARCH_CACHE_GB is checked before anything is decoded."""
    monkeypatch.setenv("SEARCH_CACHE_GB", limit)
    with pytest.raises(DataError, match="SEARCH_CACHE_GB must be a number"):
        load_folder(photos)


def test_entries_are_described_and_can_be_cleared(photos):
    """`clear` removes what `entries` lists."""
    load_folder(photos)
    [entry] = entries()
    assert (entry.shape, entry.classes) == ((20, 8, 8, 3), ("a", "b"))
    assert clear() == entry.bytes > 20 * 8 * 8 * 3
    assert (entries(), clear()) == ([], 0)


def test_waiting_for_the_lock_can_be_interrupted(photos, cache, monkeypatch):
    """The progress callback is called while another process holds the lock, so that Ctrl-C takes effect at once."""
    load_folder(photos)
    [recorded] = (cache / "decoded" / "folders").iterdir()
    clear()
    monkeypatch.setattr("studies.data.decode_to_cache.decode_files", None)

    def progress(images, total):
        assert (images, total) == (0, 20)
        raise KeyboardInterrupt

    with build_lock(cache_root(), recorded.stem), pytest.raises(KeyboardInterrupt):
        load_folder(photos, progress=progress)
