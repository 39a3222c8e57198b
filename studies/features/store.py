"""Stores features on disk as entries of the image cache, with its locks and its size limit.

<cache>/decoded/entries/<key>/    features.npy, float32, and entry.json, which marks the entry as valid
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
    """Features that have not been computed yet.

    Args:
        shape: Shape of the features: (n, units) or (n, views, units).
        compute: Yields them in order, some rows at a time.
    """

    shape: tuple[int, ...]
    compute: Callable[[], Iterator[np.ndarray]]

    @property
    def bytes(self) -> int:
        """Size of the features in float32."""
        return prod(self.shape) * 4


def load_features(root: Path, key: str) -> np.ndarray | None:
    """Return the features of a key, memory-mapped and read-only; None if they are missing or damaged."""
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
    root: Path, key: str, features: FeatureBatches, waiting: Callable[[], None] = lambda: None
) -> np.ndarray:
    """Return the features of a key, computing and storing them unless another process does so first.

    If the cache cannot be written, compute them in memory and log a warning. While another process computes them,
    `waiting` is called repeatedly; an exception ends the waiting.
    """
    try:
        return _compute_once(root, key, features, waiting)
    except OSError as error:
        logger.warning(
            "cache folder %s unavailable (%s); computing features in memory for this run\nhint: set SEARCH_CACHE",
            root.parent,
            (error.strerror or str(error)).lower(),
        )
        return compute_in_memory(features)


def save_costs(root: Path, key: str, costs: Mapping[str, float]) -> None:
    """Store the costs of computing features next to them; ignore errors, since costs are optional."""
    with contextlib.suppress(OSError):
        (root / "entries" / key / COSTS).write_text(json.dumps(dict(costs)))


def load_costs(root: Path, key: str) -> dict[str, float]:
    """Return the costs of computing the features of a key; empty if unknown."""
    try:
        found = json.loads((root / "entries" / key / COSTS).read_text())
        return {str(name): float(value) for name, value in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def compute_in_memory(features: FeatureBatches) -> np.ndarray:
    """Compute the features."""
    found = np.empty(features.shape, np.float32)
    start = 0
    for batch in features.compute():
        found[start : start + len(batch)] = batch
        start += len(batch)
    return found


def _compute_once(root: Path, key: str, features: FeatureBatches, waiting: Callable[[], None]) -> np.ndarray:
    with image_cache.build_lock(root, key, "computing these features", waiting=waiting):
        found = load_features(root, key)
        if found is not None:
            return found
        if shutil.disk_usage(root).free < features.bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with image_cache.scratch_folder(root, key) as folder:
            _write(folder, features)
            image_cache.publish(folder, root / "entries" / key)
        found = load_features(root, key)
    if found is None:
        raise OSError(None, "cannot read the written features")
    image_cache.evict(root, keep=key)
    return found


def _write(folder: Path, features: FeatureBatches) -> None:
    with (folder / ARRAY).open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": features.shape}
        np.lib.format.write_array_header_2_0(file, header)
        for batch in features.compute():
            file.write(np.ascontiguousarray(batch, "<f4").tobytes())
    sample = cache_entry.sample_digest(folder / ARRAY)
    cache_entry.complete(folder, {"kind": "features", "shape": features.shape, "sample": sample})
