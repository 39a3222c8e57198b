"""Images that are decoded for every batch, for data sets that are to take no room in the cache.

Every file is decoded once before the first trial, so that the same files are refused, and the same equal pictures
found, as with the cache.
"""

import math
import warnings
from collections.abc import Sequence

import numpy as np

from studies.data.duplicates import ImageHashes, hash_images
from studies.data.image_request import CachedImages, ImageRequest
from studies.images.cache_entry import DecodedImages
from studies.images.decode_worker import DecodeResult
from studies.images.lazy_images import ImageFiles, LazyImages, LostFiles
from studies.images.parallel_decode import DecodeTask, ProgressCallback, decode_files

_BLOCK_BYTES = 2**26


def undecoded_images(
    wanted: ImageRequest, max_skipped: float, progress: ProgressCallback | None = None
) -> CachedImages:
    """The images that are wanted, of files that could all be decoded; the others are left out.

    Args:
        wanted: The files, and the form that they are brought to.
        max_skipped: Largest share of the files that may be unreadable, now or later.
        progress: Called with the files looked at and the files in all.
    """
    files = wanted.listing.files
    found, hashes = _looked_at([file.path for file in files], wanted, progress)
    kept = np.flatnonzero([result.problem is None for result in found])
    after = wanted.arranged(kept, hashes.exact[kept])
    # Decoding in the feed's thread cannot switch warnings off and on for itself alone.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    problems = {file.path: r.problem for file, r in zip(files, found, strict=True) if r.problem is not None}
    groups = np.full(len(files), -1)
    parts = np.repeat(np.arange(len(after.counts)), after.counts)
    groups[after.files] = parts * len(wanted.listing.classes) + wanted.listing.labels[after.files]
    most = max(0, math.floor(max_skipped * len(files)) - len(problems))
    source = ImageFiles([file.path for file in files], wanted.form, LostFiles(most, groups, max_skipped))
    decoded = DecodedImages(
        images=LazyImages(source, after.files),
        labels=wanted.listing.labels[after.files],
        counts=after.counts,
        files=after.files,
        pictures=hashes.exact[after.files],
        looks=hashes.perceptual[after.files],
        left_out=after.left_out,
    )
    return CachedImages(decoded, problems)


def _looked_at(
    paths: Sequence[str], wanted: ImageRequest, progress: ProgressCallback | None
) -> tuple[list[DecodeResult], ImageHashes]:
    """Decode every file, a block at a time, and keep nothing but what became of it and its hashes."""
    length = max(1, min(len(paths), _BLOCK_BYTES // wanted.form.bytes))
    block = np.zeros((length, *wanted.form.shape), np.uint8)
    found: list[DecodeResult] = []
    hashes: list[ImageHashes] = []
    for start in range(0, len(paths), length):
        jobs = [DecodeTask(row, path) for row, path in enumerate(paths[start : start + length])]
        found += decode_files(jobs, block, wanted.form, _from(start, len(paths), progress))
        hashes.append(hash_images(block[: len(jobs)]))
    pictures, looks = (np.concatenate(column) for column in zip(*hashes, strict=True))
    return found, ImageHashes(pictures, looks)


def _from(start: int, total: int, progress: ProgressCallback | None) -> ProgressCallback | None:
    return None if progress is None else lambda done, _: progress(start + done, total)
