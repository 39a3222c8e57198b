"""Decode images that the cache does not have yet."""

import contextlib
import errno
import os
import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from spaces.errors import OutputError
from studies.data import unfinished
from studies.data.duplicates import hash_images
from studies.data.image_request import CachedImages, ImageRequest
from studies.data.split_names import TRAIN
from studies.images import cache_entry, image_cache
from studies.images.cache_entry import IMAGES, DecodedImages, Description
from studies.images.decode_worker import DecodeResult, FileRows
from studies.images.parallel_decode import ArrayFile, DecodeTask, ProgressCallback, decode_files


def build_entry(
    root: Path, request: ImageRequest, progress: ProgressCallback | None
) -> tuple[str | None, CachedImages]:
    """Decode the requested images into a new entry; return its key (None if no file could be read) and the images.

    Raises:
        OSError: The cache folder cannot be written, or is full.
    """
    _check_room(root, len(request.listing.files) * request.form.bytes)
    with image_cache.scratch_folder(root, request.folder_key) as folder:
        order = _initial_order(request)
        found = _decode_resumable(root, request, folder, order, progress)
        problems = request.problems(found)
        images = np.load(folder / IMAGES, mmap_mode="r")
        decoded, rows = request.arrange_images(images, hash_images(images), np.argsort(order), found)
        if not len(rows):
            return None, CachedImages(decoded, problems)
        if not _is_unchanged(rows, order):
            _rewrite_rows(folder, request, rows)
        cache_entry.write(folder, _description(request, decoded, found), decoded)
        key = request.content_key([result.digest for result in found])
        image_cache.publish(folder, root / "entries" / key)
    images = cache_entry.read(root / "entries" / key)
    if images is None:
        raise OSError(None, "the new entry cannot be read")
    return key, CachedImages(images, problems)


def decode_in_memory(request: ImageRequest, progress: ProgressCallback | None, reason: str) -> CachedImages:
    """Decode the requested images without the cache.

    Raises:
        OutputError: There is not enough memory.
    """
    order = _initial_order(request)
    try:
        images = np.empty((len(order), *request.form.shape), np.uint8)
    except MemoryError as error:
        size = len(order) * request.form.bytes / 1e9
        raise OutputError(
            f"not enough memory for {size:.1f} GB of images, and the cache is unavailable ({reason})\n"
            "hint: set SEARCH_CACHE to a folder with enough space, or reduce image_size"
        ) from error
    found = _decode(request, order, images, progress)
    decoded, rows = request.arrange_images(images, hash_images(images), np.argsort(order), found)
    if not _is_unchanged(rows, order):
        decoded = replace(decoded, images=images[rows])
    return CachedImages(decoded, request.problems(found))


def _check_room(root: Path, needed: int) -> None:
    """Raise `OSError` if the disk has no space for the images, before any are decoded."""
    if shutil.disk_usage(root).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _initial_order(request: ImageRequest) -> np.ndarray:
    """Return the file of each row if every file is readable and there are no duplicates."""
    everything = np.arange(len(request.listing.files))
    return request.arrange(everything, everything).files


def _decode_resumable(
    root: Path, request: ImageRequest, folder: Path, order: np.ndarray, progress: ProgressCallback | None
) -> list[DecodeResult]:
    """Decode every file into the array file of a scratch folder; save the finished rows if interrupted."""
    done = unfinished.resume(root, request, folder)
    target = cache_entry.create_array_file(folder / IMAGES, len(order), request.form, is_new=not done)
    try:
        return _decode(request, order, target, progress, done)
    except KeyboardInterrupt:
        with contextlib.suppress(OSError):
            unfinished.save(root, request, folder, done)
        raise


def _decode(
    request: ImageRequest,
    order: np.ndarray,
    target: np.ndarray | ArrayFile,
    progress: ProgressCallback | None,
    done: dict[int, DecodeResult] | None = None,
) -> list[DecodeResult]:
    """Decode every file into its row; return the results in the order of the listing."""
    tasks = [DecodeTask(row, request.listing.files[k].path) for row, k in enumerate(order.tolist())]
    results = decode_files(tasks, target, request.form, progress, done)
    return [results[row] for row in np.argsort(order)]


def _is_unchanged(rows: np.ndarray, order: np.ndarray) -> bool:
    return np.array_equal(rows, np.arange(len(order)))


def _rewrite_rows(folder: Path, request: ImageRequest, kept: np.ndarray) -> None:
    """Rewrite the array file with the kept rows only, in stratified order."""
    images = np.load(folder / IMAGES, mmap_mode="r")
    target = cache_entry.create_array_file(folder / "kept.npy", len(kept), request.form)
    with closing(FileRows(*target, request.form.bytes)) as rows:
        for row, old in enumerate(kept):
            rows[row] = images[old]
    del images
    (folder / "kept.npy").replace(folder / IMAGES)


def _description(request: ImageRequest, decoded: DecodedImages, found: Sequence[DecodeResult]) -> Description:
    problems = {result.digest.hex(): result.problem for result in found if result.problem is not None}
    return Description(
        request.form, request.listing.classes, decoded.counts, problems, request.roots[TRAIN], request.likeness
    )
