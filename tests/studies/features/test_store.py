"""Features on disk are complete or absent, computed by one process, and share the image cache's limit."""

import errno
import logging
import time
from multiprocessing import get_context
from pathlib import Path

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
    root = cache_root() if error else cache_root(tmp_path / "file")
    errors = iter([error, None]) if error else iter([None])

    def fails_once():
        yield from rows(error=next(errors)).compute()

    with caplog.at_level(logging.WARNING):
        found = load_or_compute(root, KEY, FeatureBatches(VALUES.shape, fails_once))
    np.testing.assert_array_equal(found, VALUES)
    assert len(caplog.messages) == 1
    assert "hint: set SEARCH_CACHE" in caplog.messages[0]


def test_waiting_for_another_process_can_be_interrupted(cache):
    """The callback is called soon, and its exception ends the waiting."""
    calls = []

    def waiting():
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with build_lock(cache_root(), KEY):
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            load_or_compute(cache_root(), KEY, rows(), waiting)
        assert time.monotonic() - started < 1
    np.testing.assert_array_equal(load_or_compute(cache_root(), KEY, rows(), waiting), VALUES)
    assert len(calls) == 2


def _compute(cache: Path, results) -> None:
    def slowly():
        results.put("computed")
        for row in VALUES:
            time.sleep(0.02)
            yield row[None]

    found = load_or_compute(cache_root(cache), KEY, FeatureBatches(VALUES.shape, slowly))
    results.put(float(found.sum()))


def test_only_one_process_computes(cache):
    """The others wait for it and read its features."""
    context = get_context("spawn")
    results = context.Queue()
    processes = [context.Process(target=_compute, args=(cache, results)) for _ in range(3)]
    for process in processes:
        process.start()
    computed = [results.get(timeout=60) for _ in range(4)]
    for process in processes:
        process.join()
    assert sorted(computed, key=str) == [*[float(VALUES.sum())] * 3, "computed"]
