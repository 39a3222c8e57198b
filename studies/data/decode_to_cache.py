"""Makes decoded images where the cache has none."""

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


def build(root: Path, wanted: ImageRequest, progress: ProgressCallback | None) -> tuple[str | None, CachedImages]:
    """Decode what is wanted into a new entry; its key (None where no file could be read), and the images.

    Raises:
        OSError: The cache folder cannot be written, or is full.
    """
    _check_room(root, len(wanted.listing.files) * wanted.form.bytes)
    with image_cache.scratch_folder(root, wanted.folder_key) as folder:
        order = _first_order(wanted)
        found = _decode_or_keep(root, wanted, folder, order, progress)
        problems = _problems(wanted, found)
        decoded, rows = _arranged(wanted, np.load(folder / IMAGES, mmap_mode="r"), order, found)
        if not len(rows):
            return None, CachedImages(decoded, problems)
        if not _unchanged(rows, order):
            _keep_rows(folder, wanted, rows)
        cache_entry.write(folder, _description(wanted, decoded, found), decoded)
        key = wanted.content_key([result.digest for result in found])
        image_cache.publish(folder, root / "entries" / key)
    images = cache_entry.read(root / "entries" / key)
    if images is None:
        raise OSError(None, "what was written cannot be read again")
    return key, CachedImages(images, problems)


def decode_in_memory(wanted: ImageRequest, progress: ProgressCallback | None, reason: str) -> CachedImages:
    """Decode what is wanted without a cache.

    Raises:
        OutputError: There is not enough memory.
    """
    order = _first_order(wanted)
    try:
        images = np.empty((len(order), *wanted.form.shape), np.uint8)
    except MemoryError as error:
        size = len(order) * wanted.form.bytes / 1e9
        raise OutputError(
            f"The images take {size:.1f} GB: too much for memory, and the cache folder cannot be used ({reason}). "
            "Set SEARCH_CACHE to a folder with room, or choose a smaller image_size."
        ) from error
    found = _decode(wanted, order, images, progress)
    decoded, rows = _arranged(wanted, images, order, found)
    if not _unchanged(rows, order):
        decoded = replace(decoded, images=images[rows])
    return CachedImages(decoded, _problems(wanted, found))


def _check_room(root: Path, needed: int) -> None:
    """Raise `OSError` before anything is decoded that cannot be kept."""
    if shutil.disk_usage(root).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _first_order(wanted: ImageRequest) -> np.ndarray:
    """The file of each row, if every file can be read and no two pictures are equal."""
    return wanted.arranged(np.arange(len(wanted.listing.files))).files


def _decode_or_keep(
    root: Path, wanted: ImageRequest, folder: Path, order: np.ndarray, progress: ProgressCallback | None
) -> list[DecodeResult]:
    """Decode every file into the array file of a scratch folder; what is decoded when an end is asked for is kept."""
    done = unfinished.resume(root, wanted, folder)
    target = cache_entry.array_file(folder / IMAGES, len(order), wanted.form, is_new=not done)
    try:
        return _decode(wanted, order, target, progress, done)
    except KeyboardInterrupt:
        with contextlib.suppress(OSError):
            unfinished.keep(root, wanted, folder, done)
        raise


def _decode(
    wanted: ImageRequest,
    order: np.ndarray,
    target: np.ndarray | ArrayFile,
    progress: ProgressCallback | None,
    done: dict[int, DecodeResult] | None = None,
) -> list[DecodeResult]:
    """Decode every file into its row; what became of each file, in the order of the listing."""
    jobs = [DecodeTask(row, wanted.listing.files[k].path) for row, k in enumerate(order.tolist())]
    results = decode_files(jobs, target, wanted.form, progress, done)
    return [results[row] for row in np.argsort(order)]


def _arranged(
    wanted: ImageRequest, images: np.ndarray, order: np.ndarray, found: Sequence[DecodeResult]
) -> tuple[DecodedImages, np.ndarray]:
    """What belongs to the images without those that cannot be read and those whose pictures stand in another part.

    Returns:
        All of it in the final order, but for the images themselves; and the row of each image as they are.
    """
    row_of = np.argsort(order)
    hashes = hash_images(images)
    kept = np.flatnonzero([result.problem is None for result in found])
    after = wanted.arranged(kept, hashes.exact[row_of[kept]])
    rows = row_of[after.files]
    decoded = DecodedImages(
        images=images,
        labels=wanted.listing.labels[after.files],
        counts=after.counts,
        files=after.files,
        pictures=hashes.exact[rows],
        looks=hashes.perceptual[rows],
        left_out=after.left_out,
    )
    return decoded, rows


def _unchanged(rows: np.ndarray, order: np.ndarray) -> bool:
    return np.array_equal(rows, np.arange(len(order)))


def _keep_rows(folder: Path, wanted: ImageRequest, kept: np.ndarray) -> None:
    """Write the array file anew with some of its rows, so that they are stratified again."""
    images = np.load(folder / IMAGES, mmap_mode="r")
    target = cache_entry.array_file(folder / "kept.npy", len(kept), wanted.form)
    with closing(FileRows(*target, wanted.form.bytes)) as rows:
        for row, old in enumerate(kept):
            rows[row] = images[old]
    del images
    (folder / "kept.npy").replace(folder / IMAGES)


def _description(wanted: ImageRequest, decoded: DecodedImages, found: Sequence[DecodeResult]) -> Description:
    problems = {result.digest.hex(): result.problem for result in found if result.problem is not None}
    return Description(
        wanted.form, wanted.listing.classes, decoded.counts, problems, wanted.roots[TRAIN], wanted.likeness
    )


def _problems(wanted: ImageRequest, found: Sequence[DecodeResult]) -> dict[str, str]:
    files = wanted.listing.files
    return {file.path: r.problem for file, r in zip(files, found, strict=True) if r.problem is not None}
