"""Images that are decoded for every batch, for data sets that should not be stored in the cache.

Every file is decoded once before the first trial, so that the same unreadable files and duplicates are found as with
the cache.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from studies.data.duplicates import ImageHashes, hash_images
from studies.data.image_request import CachedImages, ImageRequest
from studies.images.decode_worker import DecodeResult
from studies.images.lazy_images import ImageFiles, LazyImages, LostFiles
from studies.images.parallel_decode import DecodeTask, ProgressCallback, decode_files

_BLOCK_BYTES = 2**26


def stream_images(request: ImageRequest, max_skipped: float, progress: ProgressCallback | None = None) -> CachedImages:
    """Return the requested images without storing them; unreadable files are left out.

    Args:
        max_skipped: Maximum fraction of files that may be unreadable, now or later.
        progress: Callback with the number of files read and the total.
    """
    paths = [file.path for file in request.listing.files]
    found, hashes = _hash_files(paths, request, progress)
    # The feed decodes in its own thread, where warnings cannot be suppressed for that thread alone.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    problems, rows = request.problems(found), np.arange(len(paths))
    may_lose = max(0, math.floor(max_skipped * len(paths)) - len(problems))
    source = ImageFiles(paths, request.form, LostFiles(may_lose, np.full(len(paths), -1), max_skipped))
    decoded, rows = request.arrange_images(LazyImages(source, rows), hashes, rows, found)
    splits = np.repeat(np.arange(len(decoded.counts)), decoded.counts)
    source.lost.groups[rows] = splits * len(request.listing.classes) + decoded.labels
    return CachedImages(replace(decoded, images=LazyImages(source, rows)), problems)


def _hash_files(
    paths: Sequence[str], request: ImageRequest, progress: ProgressCallback | None
) -> tuple[list[DecodeResult], ImageHashes]:
    """Decode every file, a block at a time, and keep only the results and the hashes."""
    length = max(1, min(len(paths), _BLOCK_BYTES // request.form.bytes))
    block = np.zeros((length, *request.form.shape), np.uint8)
    found: list[DecodeResult] = []
    hashes: list[ImageHashes] = []
    for start in range(0, len(paths), length):
        tasks = [DecodeTask(row, path) for row, path in enumerate(paths[start : start + length])]
        found += decode_files(tasks, block, request.form, _offset_progress(start, len(paths), progress))
        hashes.append(hash_images(block[: len(tasks)]))
    return found, ImageHashes(*(np.concatenate(column) for column in zip(*hashes, strict=True)))


def _offset_progress(start: int, total: int, progress: ProgressCallback | None) -> ProgressCallback | None:
    return None if progress is None else lambda done, _: progress(start + done, total)
