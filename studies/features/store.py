"""Features on disk: entries of the cache of decoded images, with its locks and its limit of size.

<cache>/decoded/entries/<key>/    features.npy, float32, and entry.json, which makes the entry valid
"""

import contextlib
import errno
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from studies.images import cache_entry, image_cache

ARRAY, COSTS = "features.npy", "costs.json"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FeatureBatches:
    """Features that are still to be computed.

    Args:
        shape: (n, units), or (n, views, units).
        batches: Computes them, some rows at a time, in order.
    """

    shape: tuple[int, ...]
    batches: Callable[[], Iterator[np.ndarray]]

    @property
    def bytes(self) -> int:
        """What they take, in float32."""
        return prod(self.shape) * 4


def load_features(root: Path, key: str) -> np.ndarray | None:
    """The features of that name, memory-mapped and read-only; None when they are absent or damaged."""
    folder = root / "entries" / key
    shape = cache_entry.features_shape(folder)
    if shape is None:
        return None
    try:
        found: np.ndarray = np.load(folder / ARRAY, mmap_mode="r")
        described = json.loads((folder / cache_entry.DESCRIPTION).read_text())
        if found.shape != shape or cache_entry.sample_digest(folder / ARRAY) != described["sample"]:
            return None
    except (OSError, ValueError, EOFError, KeyError):
        return None
    cache_entry.mark_used(folder)
    return found


def load_or_compute(
    root: Path, key: str, rows: FeatureBatches, waiting: Callable[[], None] = lambda: None
) -> np.ndarray:
    """The features of that name: those that another process computes meanwhile, else computed and kept.

    Where the cache cannot be written they are computed into memory, with a warning. While another process computes
    them `waiting` is called; what it raises ends the waiting.
    """
    try:
        return _compute_once(root, key, rows, waiting)
    except OSError as error:
        logger.warning(
            "The cache folder %s cannot be used (%s): the features of the frozen backbone are computed into memory, "
            "and again by every run. SEARCH_CACHE names another folder.",
            root.parent,
            (error.strerror or str(error)).lower(),
        )
        return compute_in_memory(rows)


def save_costs(root: Path, key: str, costs: Mapping[str, float]) -> None:
    """Keep what the features of that name cost beside them; where that cannot be written it is not known later."""
    with contextlib.suppress(OSError):
        (root / "entries" / key / COSTS).write_text(json.dumps(dict(costs)))


def load_costs(root: Path, key: str) -> dict[str, float]:
    """What the features of that name cost; empty where that is not known."""
    try:
        found = json.loads((root / "entries" / key / COSTS).read_text())
        return {str(name): float(value) for name, value in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def compute_in_memory(rows: FeatureBatches) -> np.ndarray:
    """The features, computed now."""
    found = np.empty(rows.shape, np.float32)
    start = 0
    for batch in rows.batches():
        found[start : start + len(batch)] = batch
        start += len(batch)
    return found


def _compute_once(root: Path, key: str, rows: FeatureBatches, waiting: Callable[[], None]) -> np.ndarray:
    with image_cache.build_lock(root, key, "computing these features", waiting=waiting):
        found = load_features(root, key)
        if found is not None:
            return found
        if shutil.disk_usage(root).free < rows.bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with image_cache.scratch_folder(root, key) as folder:
            _write(folder, rows)
            image_cache.publish(folder, root / "entries" / key)
        found = load_features(root, key)
    if found is None:
        raise OSError(None, "what was written cannot be read again")
    image_cache.evict(root, keep=key)
    return found


def _write(folder: Path, rows: FeatureBatches) -> None:
    with (folder / ARRAY).open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": rows.shape}
        np.lib.format.write_array_header_2_0(file, header)
        for batch in rows.batches():
            file.write(np.ascontiguousarray(batch, "<f4").tobytes())
        file.flush()
        os.fsync(file.fileno())
    content = {"kind": "features", "shape": rows.shape, "sample": cache_entry.sample_digest(folder / ARRAY)}
    with (folder / cache_entry.DESCRIPTION).open("w") as described:
        json.dump(content, described)
        described.flush()
        os.fsync(described.fileno())
