"""Features on disk are complete or absent, computed by one process, and share the image cache's limit."""

import errno
import threading
from unittest.mock import Mock

import numpy as np
import pytest

from studies.features.store import FeatureBatches, load_features, load_or_compute
from studies.images.image_cache import build_lock, cache_root, entries

KEY, OTHER = "0a" * 20, "0b" * 20
VALUES = np.arange(12, dtype=np.float32).reshape(6, 2)


def rows(values=VALUES, computed=None, error=None) -> FeatureBatches:
    """Two batches, with an error between them if there is one."""

    def batches():
        if computed is not None:
            computed.append(1)
        yield values[:4]
        if error is not None:
            raise error
        yield values[4:]

    return FeatureBatches(values.shape, batches)


def test_features_are_computed_once_and_listed(cache):
    """The same values, memory-mapped and read-only, computed once, as an entry of the cache."""
    computed = []
    for _ in range(2):
        found = load_or_compute(cache_root(), KEY, rows(computed=computed))
        np.testing.assert_array_equal(found, VALUES)
        assert isinstance(found, np.memmap)
        assert not found.flags.writeable
    assert computed == [1]
    (entry,) = entries()
    assert (entry.key, entry.kind, entry.shape) == (KEY, "features", (6, 2))
    assert entry.bytes > VALUES.nbytes


def test_least_recently_used_features_are_evicted(cache, monkeypatch):
    """Above the size limit older entries are removed; the newest stays."""
    monkeypatch.setenv("SEARCH_CACHE_GB", "0")
    load_or_compute(cache_root(), KEY, rows())
    load_or_compute(cache_root(), OTHER, rows())
    assert [entry.key for entry in entries()] == [OTHER]


def test_interrupted_computation_leaves_nothing(cache):
    """Neither an entry nor a scratch folder is left."""
    with pytest.raises(KeyboardInterrupt):
        load_or_compute(cache_root(), KEY, rows(error=KeyboardInterrupt()))
    assert load_features(cache_root(), KEY) is None
    assert [path.name for path in cache_root().iterdir()] == ["locks"]


@pytest.mark.parametrize(("file", "end"), [("features.npy", b""), ("features.npy", b"abc"), ("entry.json", b"")])
def test_damaged_entry_is_computed_again(cache, file, end):
    """A truncated or changed file is not used."""
    load_or_compute(cache_root(), KEY, rows())
    path = cache_root() / "entries" / KEY / file
    path.write_bytes(path.read_bytes()[:-3] + end)
    assert load_features(cache_root(), KEY) is None
    np.testing.assert_array_equal(load_or_compute(cache_root(), KEY, rows()), VALUES)
    assert load_features(cache_root(), KEY) is not None


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), None])
def test_unwritable_cache_computes_in_memory(cache, tmp_path, caplog, error):
    """A full disk or an invalid folder gives one warning with a hint, and the same values."""
    (tmp_path / "file").touch()
    errors = iter([error, None] if error else [None])
    fails_once = FeatureBatches(VALUES.shape, lambda: rows(error=next(errors)).compute())
    found = load_or_compute(cache_root(None if error else tmp_path / "file"), KEY, fails_once)
    np.testing.assert_array_equal(found, VALUES)
    [message] = caplog.messages
    assert "hint: set SEARCH_CACHE" in message


def test_waiting_for_another_process_can_be_interrupted(cache):
    """The callback is called soon and again, and its exception ends the waiting."""
    waiting = Mock(side_effect=[None, KeyboardInterrupt])
    with build_lock(cache_root(), KEY), pytest.raises(KeyboardInterrupt):
        load_or_compute(cache_root(), KEY, rows(), waiting)
    assert waiting.call_count == 2


def test_waiting_worker_reads_the_features_of_the_other(cache):
    """Only one of them computes."""
    is_waiting, found = threading.Event(), []
    fails = rows(error=AssertionError("computed again"))
    second = threading.Thread(target=lambda: found.append(load_or_compute(cache_root(), KEY, fails, is_waiting.set)))

    def batches():
        second.start()
        assert is_waiting.wait(60)
        yield VALUES

    load_or_compute(cache_root(), KEY, FeatureBatches(VALUES.shape, batches))
    second.join()
    np.testing.assert_array_equal(found, [VALUES])
