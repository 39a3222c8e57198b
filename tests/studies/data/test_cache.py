"""The cache of decoded images: what is decoded when, and that nothing can spoil it."""

import errno
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from spaces import ImageFolder
from spaces.errors import DataError
from studies.data import decode_to_cache
from studies.data.dataset import Dataset
from studies.data.sources import load
from studies.images.decode_worker import FileRows
from studies.images.image_cache import clear, entries
from tests.support.images import picture, write_classes, write_image

LOAD = """
import sys
from pathlib import Path
from types import SimpleNamespace
from spaces import ImageFolder
from studies.data.sources import load
decoded = []
data = load(ImageFolder(sys.argv[1]), Path.cwd(), progress=lambda done, total: decoded.append(total))
print(decoded[-1] if decoded else 0, int(data.train.images.sum()))
"""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_classes(tmp_path / "photos", {"a": 10, "b": 10})


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many files each call decodes."""
    calls: list[int] = []
    decode_files = decode_to_cache.decode_files

    def counting(jobs, *rest):
        calls.append(len(jobs))
        return decode_files(jobs, *rest)

    monkeypatch.setattr(decode_to_cache, "decode_files", counting)
    return calls


def loaded(folder: Path, **settings: object) -> Dataset:
    return load(ImageFolder(str(folder), **settings), Path("/nowhere"))


def content(data: Dataset) -> bytes:
    return b"".join(split.images.tobytes() for split in (data.test, data.validation, data.train))


def entry_folder(cache: Path) -> Path:
    [folder] = (cache / "decoded" / "entries").iterdir()
    return folder


def test_images_are_decoded_once(photos, decoded):
    """A second load reads the same memory-mapped, read-only images, and reports no progress."""
    reports: list[tuple[int, int]] = []
    data = ImageFolder(str(photos))
    first = load(data, Path(), progress=lambda *report: reports.append(report))
    assert reports[-1] == (20, 20)
    reports.clear()
    second = load(data, Path(), progress=lambda *report: reports.append(report))
    assert decoded == [20]
    assert not reports
    assert isinstance(second.train.images, np.memmap)
    assert not second.train.images.flags.writeable
    assert content(first) == content(second)


def test_training_and_validation_images_are_neighbours(photos):
    """Joining them for retraining copies nothing."""
    from studies.data.dataset import concatenate

    data = loaded(photos)
    assert isinstance(concatenate(data.train, data.validation).images, np.memmap)


def test_another_size_is_another_entry(photos, decoded):
    """Size, channels and resizing have an entry each; the validation share has none."""
    for settings in ({}, {"image_size": 5}, {"channels": 1}, {"resize": "pad"}, {"validation": 0.5}):
        loaded(photos, **settings)
    assert decoded == [20, 20, 20, 20]
    assert sorted(entry.shape for entry in entries())[0] == (20, 5, 5, 3)


def test_another_folder_with_the_same_content_is_not_decoded(photos, decoded, tmp_path):
    """A copy elsewhere finds the images by their content, and what is skipped by its own paths."""
    (photos / "a" / "broken.png").touch()
    first = loaded(photos)
    shutil.copytree(photos, tmp_path / "copy")
    second = loaded(tmp_path / "copy")
    assert decoded == [21]
    assert len(entries()) == 1
    assert content(first) == content(second)
    assert [path for path, _ in second.skipped] == [str(tmp_path / "copy" / "a" / "broken.png")]


def test_touched_files_are_not_decoded_again(photos, decoded):
    """Other times of the same content cost a reading, no decoding."""
    loaded(photos)
    for path in photos.rglob("*.png"):
        os.utime(path, (1, 1))
    loaded(photos)
    loaded(photos)
    assert decoded == [20]


def test_a_changed_folder_is_decoded_anew(photos, decoded):
    """Added, changed and removed files give another entry, with what stands in the folder now."""
    loaded(photos)
    write_image(photos / "a" / "new.png", seed=77_001)
    write_image(photos / "b" / "b_0003.png", seed=77_002)
    (photos / "b" / "b_0004.png").unlink()
    grown = loaded(photos)
    assert decoded == [20, 20]
    assert picture(77_001).tobytes() in content(grown)
    assert picture(77_002).tobytes() in content(grown)
    clear()
    assert content(loaded(photos)) == content(grown)


def test_a_changed_file_of_the_same_size_and_time_is_noticed(tmp_path):
    """The time of the last change cannot be set back."""
    photos = write_classes(tmp_path, {"a": 4, "b": 4}, extension=".bmp")
    path = photos / "a" / "a_0000.bmp"
    before = path.stat()
    first = loaded(photos)
    write_image(path, seed=88_888)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert content(loaded(photos)) != content(first)


@pytest.mark.parametrize(
    "damage", ["truncated", "zeroed", "no description", "broken description", "no labels", "swapped"]
)
def test_a_damaged_entry_is_made_anew(photos, cache, decoded, damage):
    """Whatever is missing or cut short in the cache, the images are decoded again and right."""
    expected = content(loaded(photos))
    folder = entry_folder(cache)
    if damage == "truncated":
        os.truncate(folder / "images.npy", 500)
    elif damage == "zeroed":
        (folder / "images.npy").write_bytes(b"\0" * (folder / "images.npy").stat().st_size)
    elif damage == "no description":
        (folder / "entry.json").unlink()
    elif damage == "broken description":
        (folder / "entry.json").write_text('{"form": [8')
    elif damage == "no labels":
        (folder / "labels.npy").unlink()
    else:
        np.save(folder / "images.npy", np.zeros((20, 8, 8, 3), np.uint8))
    assert content(loaded(photos)) == expected
    assert content(loaded(photos)) == expected
    assert decoded == [20, 20]
    assert not list((cache / "decoded").glob("scratch-*"))


def test_two_processes_at_once_decode_once(photos):
    """One decodes, the others wait and read the same images."""
    running = [
        subprocess.Popen([sys.executable, "-c", LOAD, str(photos)], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    outputs = [process.communicate(timeout=60)[0].split() for process in running]
    assert sorted(decoded for decoded, _ in outputs) == ["0", "0", "20"]
    assert len({total for _, total in outputs}) == 1


def test_two_threads_at_once_decode_once(photos, decoded):
    """The lock holds within a process too."""
    threads = [threading.Thread(target=loaded, args=(photos,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert decoded == [20]


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_cache_that_cannot_be_written_is_done_without(photos, cache, monkeypatch, caplog, code):
    """Read-only or full, the images are decoded into memory, with a warning that says why."""
    expected = content(loaded(photos))
    clear()

    def refuse(self, row, image):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(FileRows, "__setitem__", refuse)
    with caplog.at_level(logging.WARNING):
        data = loaded(photos)
    assert content(data) == expected
    assert os.strerror(code).lower() in caplog.text
    assert str(cache) in caplog.text
    assert entries() == []
    assert not list((cache / "decoded").glob("scratch-*"))


def test_nothing_is_decoded_that_cannot_be_kept(photos, monkeypatch, caplog, decoded):
    """Where the room does not suffice, that is known before the first file is decoded."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=100))
    data = loaded(photos)
    assert decoded == [20]
    assert isinstance(data.train.images, np.ndarray)
    assert not isinstance(data.train.images, np.memmap)
    assert "no space left" in caplog.text


def test_a_cache_folder_that_is_a_file_is_done_without(photos, tmp_path, caplog):
    """A wrong SEARCH_CACHE does not end the search."""
    (tmp_path / "file").touch()
    data = load(ImageFolder(str(photos)), Path(), cache=tmp_path / "file")
    assert len(data.train) == 13
    assert "unavailable" in caplog.text


def test_skipped_files_do_not_disturb_decoding_into_memory(photos, tmp_path):
    """Without a cache the same images come in the same order."""
    (photos / "a" / "broken.png").touch()
    (tmp_path / "file").touch()
    without = load(ImageFolder(str(photos)), Path(), cache=tmp_path / "file")
    assert content(without) == content(loaded(photos))
    assert len(without.skipped) == 1


def test_an_interrupted_decoding_leaves_nothing(photos, cache):
    """Ctrl-C while images are decoded removes what was begun."""

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(ImageFolder(str(photos)), Path(), progress=interrupt)
    assert entries() == []
    assert not list((cache / "decoded").glob("scratch-*"))
    assert len(loaded(photos).train) == 13


def test_what_a_killed_process_left_is_removed(photos, cache):
    """A process that dies while it decodes leaves a folder, which the next one removes."""
    kill = LOAD.replace(
        "decoded.append(total)", f"__import__('os').kill(__import__('os').getpid(), {int(signal.SIGKILL)})"
    )
    subprocess.run([sys.executable, "-c", kill, str(photos)], check=False, timeout=60)
    assert list((cache / "decoded").glob("scratch-*"))
    loaded(photos)
    assert not list((cache / "decoded").glob("scratch-*"))


def test_the_least_recently_used_entries_are_removed(photos, cache, monkeypatch):
    """Beyond the limit the oldest go; the newest stays even where it alone is too large."""
    for side in (4, 5, 6):
        loaded(photos, image_size=side)
    for age, entry in enumerate(sorted(entries(), key=lambda entry: entry.shape)):
        os.utime(cache / "decoded" / "entries" / entry.key / "entry.json", (age, age))
    loaded(photos, image_size=4)
    three = sum(entry.bytes for entry in entries())
    monkeypatch.setenv("SEARCH_CACHE_GB", str(three / 1e9))
    loaded(photos, image_size=7)
    assert sorted(entry.shape[1] for entry in entries()) == [4, 7]
    monkeypatch.setenv("SEARCH_CACHE_GB", "0")
    loaded(photos, image_size=8)
    assert [entry.shape[1] for entry in entries()] == [8]


@pytest.mark.parametrize("limit", ["many", "-1", "nan"])
def test_a_limit_that_is_no_number_is_refused(photos, monkeypatch, limit):
    """SEARCH_CACHE_GB is checked before anything is decoded."""
    monkeypatch.setenv("SEARCH_CACHE_GB", limit)
    with pytest.raises(DataError, match="SEARCH_CACHE_GB must be a number"):
        loaded(photos)


def test_entries_tell_what_they_hold_and_can_be_cleared(photos, decoded):
    """What `entries` lists is what `clear` removes."""
    loaded(photos)
    [entry] = entries()
    assert entry.shape == (20, 8, 8, 3)
    assert entry.classes == ("a", "b")
    assert entry.bytes > 20 * 8 * 8 * 3
    assert clear() == entry.bytes
    assert entries() == []
    assert clear() == 0
    loaded(photos)
    assert decoded == [20, 20]
