"""Waiting for another process that makes the same entry of the cache."""

import threading
import time
from pathlib import Path

import pytest

from spaces import ImageFolder
from studies.data.sources import load
from studies.images import image_cache
from studies.images.image_cache import build_lock, cache_root, clear
from tests.support.images import write_classes


@pytest.fixture
def key(tmp_path, monkeypatch):
    """What the images of `photos` are locked by."""
    seen = []
    original = image_cache.build_lock
    monkeypatch.setattr(
        image_cache, "build_lock", lambda root, key, **named: seen.append(key) or original(root, key, **named)
    )
    load(ImageFolder(write_classes(tmp_path / "photos", {"a": 10, "b": 10})), Path("/nowhere"))
    clear()
    return seen[0]


def test_waiting_ends_when_asked(key, tmp_path):
    """Who watches the progress is asked while nothing moves, so that Ctrl-C and the time limit count at once."""
    held, done = threading.Event(), threading.Event()

    def hold():
        with build_lock(cache_root(), key):
            held.set()
            done.wait(60)

    def progress(images, total):
        assert (images, total) == (0, 20)
        raise KeyboardInterrupt

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(60)
    started = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            load(ImageFolder(tmp_path / "photos"), Path("/nowhere"), progress=progress)
    finally:
        done.set()
        thread.join()
    assert time.monotonic() - started < 10
