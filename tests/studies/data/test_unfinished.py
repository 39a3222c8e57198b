"""Decoding that an end is asked of: what is decoded is kept for the next run."""

import threading
from pathlib import Path

import pytest

from spaces import ImageFolder
from studies.data.dataset import Dataset
from studies.data.sources import load
from studies.images import parallel_decode
from studies.images.decode_worker import decode_into
from studies.images.image_cache import clear
from tests.support.images import write_classes, write_image


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of 40 images."""
    return write_classes(tmp_path / "photos", {"a": 20, "b": 20})


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are decoded."""
    paths: list[str] = []

    def counting(rows, row, path, form):
        paths.append(path)
        return decode_into(rows, row, path, form)

    monkeypatch.setattr(parallel_decode, "decode_into", counting)
    return paths


def loaded(folder: Path, progress=None) -> Dataset:
    """The images of a folder."""
    return load(ImageFolder(str(folder), image_size=8), Path("/nowhere"), progress=progress)


def content(data: Dataset) -> bytes:
    """All pixels, in order."""
    return b"".join(split.images.tobytes() for split in (data.test, data.validation, data.train))


def interrupt(folder: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch, after: int = 15) -> int:
    """Ask for an end once so many files are decoded; returns how many were."""
    with monkeypatch.context() as patched:
        # One file at a time, so that an end comes in the middle.
        patched.setattr(parallel_decode, "core_count", lambda: 1)
        patched.setattr(parallel_decode, "_MAX_PER_CHUNK", 1)
        count = parallel_decode.decode_into

        def slow(rows, row, path, form):
            if len(decoded) >= after:
                stopped.wait(10)
            return count(rows, row, path, form)

        stopped = threading.Event()

        def progress(done: int, total: int) -> None:
            if done >= after:
                stopped.set()
                raise KeyboardInterrupt

        patched.setattr(parallel_decode, "decode_into", slow)
        with pytest.raises(KeyboardInterrupt):
            loaded(folder, progress)
    return len(decoded)


def test_the_next_run_decodes_only_the_others(photos, decoded, monkeypatch, cache):
    """Its images are those of an undisturbed run, and it counts on from where the first one was."""
    first = interrupt(photos, decoded, monkeypatch)
    assert 15 <= first < 40
    told: list[tuple[int, int]] = []
    data = loaded(photos, lambda done, total: told.append((done, total)))
    assert len(decoded) == len(set(decoded)) == 40
    assert told[-1] == (40, 40)
    assert told[0][0] >= 15
    assert not list((cache / "decoded" / "unfinished").iterdir())
    clear()
    assert content(loaded(photos)) == content(data)


def test_a_changed_folder_is_decoded_again(photos, decoded, monkeypatch):
    """What was kept is of other files, or of other ones of their names."""
    first = interrupt(photos, decoded, monkeypatch)
    write_image(photos / "a" / "another.png", seed=999)
    loaded(photos)
    assert len(decoded) == first + 41


def test_what_was_kept_and_is_damaged_is_decoded_again(photos, decoded, monkeypatch, cache):
    """A file that was cut short holds no images."""
    first = interrupt(photos, decoded, monkeypatch)
    (file,) = (cache / "decoded" / "unfinished").glob("*/images.npy")
    file.write_bytes(file.read_bytes()[:-10])
    loaded(photos)
    assert len(decoded) == first + 40


def test_clearing_the_cache_removes_what_was_kept(photos, decoded, monkeypatch, cache):
    """`search cache --clear` leaves nothing."""
    interrupt(photos, decoded, monkeypatch)
    clear()
    assert not (cache / "decoded" / "unfinished").exists()
