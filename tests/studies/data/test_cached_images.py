"""When images are decoded, when the cache is used, and that nothing can corrupt it."""

import errno
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest

from studies.data import decode_to_cache
from studies.data.dataset import concatenate
from studies.images.decode_worker import FileRows
from studies.images.image_cache import clear, entries
from tests.support.image_folders import all_bytes, load_folder
from tests.support.images import picture, write_classes, write_image


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Number of files that each call decodes."""
    calls: list[int] = []
    decode_files = decode_to_cache.decode_files

    def counting(tasks, *rest):
        calls.append(len(tasks))
        return decode_files(tasks, *rest)

    monkeypatch.setattr(decode_to_cache, "decode_files", counting)
    return calls


@pytest.fixture
def no_scratch(cache):
    """Check at the end that no scratch folder is left."""
    yield
    assert not list((cache / "decoded").glob("scratch-*"))


def test_images_are_decoded_once(photos, decoded):
    """A second load reads the same memory-mapped, read-only images, and reports no progress."""
    reports: list[tuple[int, int]] = []
    first = load_folder(photos, progress=lambda *report: reports.append(report))
    assert reports[-1] == (20, 20)
    reports.clear()
    second = load_folder(photos, progress=lambda *report: reports.append(report))
    assert (decoded, reports) == ([20], [])
    assert isinstance(second.train.images, np.memmap)
    assert not second.train.images.flags.writeable
    assert isinstance(concatenate(second.train, second.validation).images, np.memmap)
    assert all_bytes(first) == all_bytes(second)


def test_another_format_is_another_entry(photos, decoded):
    """Size, channels and resizing have an entry each; the validation fraction has none."""
    for settings in ({}, {"image_size": 5}, {"channels": 1}, {"resize": "pad"}, {"validation": 0.5}):
        load_folder(photos, **settings)
    assert decoded == [20, 20, 20, 20]
    assert sorted(entry.shape for entry in entries())[0] == (20, 5, 5, 3)


def test_the_same_content_is_not_decoded_again(photos, decoded, tmp_path):
    """A copy elsewhere, or with other times, finds the images by content, and its skipped files by its own paths."""
    (photos / "a" / "broken.png").touch()
    first = load_folder(photos)
    shutil.copytree(photos, tmp_path / "copy")
    second = load_folder(tmp_path / "copy")
    for path in photos.rglob("*.png"):
        os.utime(path, (1, 1))
    third = load_folder(photos)
    load_folder(photos)
    assert (decoded, len(entries())) == ([21], 1)
    assert all_bytes(first) == all_bytes(second) == all_bytes(third)
    assert [path for path, _ in second.skipped] == [str(tmp_path / "copy" / "a" / "broken.png")]


def test_a_changed_folder_is_decoded_again(photos, decoded):
    """Added, changed and removed files make another entry with the current images."""
    load_folder(photos)
    write_image(photos / "a" / "new.png", seed=77_001)
    write_image(photos / "b" / "b_0003.png", seed=77_002)
    (photos / "b" / "b_0004.png").unlink()
    changed = all_bytes(load_folder(photos))
    assert decoded == [20, 20]
    assert {picture(77_001).tobytes(), picture(77_002).tobytes()} <= set(changed)
    clear()
    assert all_bytes(load_folder(photos)) == changed


def test_a_changed_file_of_the_same_size_and_time_is_noticed(tmp_path):
    """The time of the last metadata change cannot be set back."""
    photos = write_classes(tmp_path, {"a": 4, "b": 4}, extension=".bmp")
    path = photos / "a" / "a_0000.bmp"
    before = path.stat()
    first = load_folder(photos)
    write_image(path, seed=88_888)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert all_bytes(load_folder(photos)) != all_bytes(first)


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("images.npy", lambda path: os.truncate(path, 500)),
        ("images.npy", lambda path: path.write_bytes(b"\0" * path.stat().st_size)),
        ("images.npy", lambda path: np.save(path, np.zeros((20, 8, 8, 3), np.uint8))),
        ("entry.json", Path.unlink),
        ("entry.json", lambda path: path.write_text('{"form": [8')),
        ("entry.json", lambda path: path.write_text(json.dumps({**json.loads(path.read_text()), "counts": [1, 2, 3]}))),
        ("labels.npy", Path.unlink),
    ],
    ids=["truncated", "zeroed", "swapped", "no description", "broken description", "other counts", "no labels"],
)
@pytest.mark.usefixtures("no_scratch")
def test_a_damaged_entry_is_rebuilt(photos, cache, decoded, file, damage):
    """Whatever is missing or damaged in the cache, the images are decoded again."""
    expected = all_bytes(load_folder(photos))
    [folder] = (cache / "decoded" / "entries").iterdir()
    damage(folder / file)
    assert all_bytes(load_folder(photos)) == all_bytes(load_folder(photos)) == expected
    assert decoded == [20, 20]


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC])
@pytest.mark.usefixtures("no_scratch")
def test_without_a_writable_cache_images_are_decoded_into_memory(photos, cache, monkeypatch, caplog, code):
    """If it is read-only or full, a warning says why."""
    expected = all_bytes(load_folder(photos))
    clear()
    monkeypatch.setattr(FileRows, "__setitem__", Mock(side_effect=OSError(code, os.strerror(code))))
    assert all_bytes(load_folder(photos)) == expected
    assert os.strerror(code).lower() in caplog.text
    assert str(cache) in caplog.text
    assert entries() == []


def test_a_full_disk_is_noticed_before_decoding(photos, monkeypatch, caplog, decoded):
    """The images are decoded only once, into memory."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=100))
    data = load_folder(photos)
    assert decoded == [20]
    assert not isinstance(data.train.images, np.memmap)
    assert "no space left" in caplog.text
