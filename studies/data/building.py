"""Makes decoded images where the cache has none: decodes what is new and copies what another entry already holds."""

import errno
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spaces.errors import OutputError
from studies.data import cache as caches
from studies.data import entry as entries
from studies.data.decode_worker import Decoded, FileRows
from studies.data.entry import IMAGES, DecodedImages, Description
from studies.data.parallel import ArrayFile, Job, Progress, decode_files, digests
from studies.data.splitting import Counts
from studies.data.wanted import Answer, Wanted

_PROMISING = 0.1
"""Share of files that an entry must seem to hold before all files are read to see whether it does."""


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of the files before any is decoded.

    Args:
        digests: The digest of every file's content; none at all where no entry is worth the reading.
        rows: By digest, the array and the row that hold its image.
    """

    digests: Sequence[bytes]
    rows: Mapping[bytes, tuple[np.ndarray, int]]


def known_of(root: Path, wanted: Wanted) -> Known:
    """Read the files' contents where the cache seems to hold some of their images in the wanted form."""
    folders = [entry for entry in _in_form(root, wanted) if _promises(entry, wanted)]
    if not folders:
        return Known((), {})
    rows: dict[bytes, tuple[np.ndarray, int]] = {}
    for folder in folders:
        images, origins = entries.read(folder), entries.origins(folder)
        if images is not None and origins is not None:
            rows.update((found.tobytes(), (images.images, row)) for row, found in enumerate(origins[0]))
    return Known(digests([file.path for file in wanted.listing.files]), rows)


def build(root: Path, wanted: Wanted, known: Known, progress: Progress | None) -> tuple[str | None, Answer]:
    """Decode what is wanted into a new entry; its key (None where no file could be read), and the images.

    Raises:
        OSError: The cache folder cannot be written, or is full.
    """
    _check_room(root, len(wanted.listing.files) * wanted.form.bytes)
    with caches.scratch_folder(root, wanted.folder_key) as folder:
        order, counts = wanted.arranged(np.arange(len(wanted.listing.files)))
        target = entries.new_array_file(folder / IMAGES, len(order), wanted.form)
        found = _fill(target, wanted, order, known, progress)
        if any(result.problem for result in found):
            kept = np.array([k for k, result in enumerate(found) if result.problem is None], np.int64)
            if not len(kept):
                return None, Answer(_no_images(wanted), _problems(wanted, found))
            rows = np.argsort(order)
            order, counts = wanted.arranged(kept)
            _keep_rows(folder, wanted, rows[order])
        _describe(folder, wanted, order, counts, found)
        key = wanted.content_key([result.digest for result in found])
        caches.publish(folder, root / "entries" / key)
    images = entries.read(root / "entries" / key)
    if images is None:
        raise OSError(None, "what was written cannot be read again")
    return key, Answer(images, _problems(wanted, found))


def decode_in_memory(wanted: Wanted, progress: Progress | None, reason: str) -> Answer:
    """Decode what is wanted without a cache.

    Raises:
        OutputError: There is not enough memory.
    """
    order, counts = wanted.arranged(np.arange(len(wanted.listing.files)))
    try:
        images = np.empty((len(order), *wanted.form.shape), np.uint8)
    except MemoryError as error:
        size = len(order) * wanted.form.bytes / 1e9
        raise OutputError(
            f"The images take {size:.1f} GB: too much for memory, and the cache folder cannot be used ({reason}). "
            "Set SEARCH_CACHE to a folder with room, or choose a smaller image_size."
        ) from error
    files = wanted.listing.files
    results = decode_files([Job(row, files[k].path) for row, k in enumerate(order)], images, wanted.form, progress)
    found = [results[row] for row in np.argsort(order)]
    if any(result.problem for result in found):
        rows = np.argsort(order)
        order, counts = wanted.arranged(np.flatnonzero([result.problem is None for result in found]))
        images = images[rows[order]]
    return Answer(DecodedImages(images, wanted.listing.labels()[order], counts, {}), _problems(wanted, found))


def _check_room(root: Path, needed: int) -> None:
    """Raise `OSError` before anything is decoded that cannot be kept."""
    if shutil.disk_usage(root).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _in_form(root: Path, wanted: Wanted) -> list[Path]:
    folders = caches.entry_folders(root)
    return [path for path in folders if (found := entries.describe(path)) is not None and found.form == wanted.form]


def _promises(folder: Path, wanted: Wanted) -> bool:
    origins = entries.origins(folder)
    return origins is not None and np.isin(wanted.marks, origins[1]).mean() >= _PROMISING


def _fill(
    target: ArrayFile, wanted: Wanted, order: np.ndarray, known: Known, progress: Progress | None
) -> list[Decoded]:
    """Write every row of a new array file; what became of each file."""
    row_of = np.argsort(order)
    found: list[Decoded | None] = [None] * len(order)
    with closing(FileRows(*target, wanted.form.bytes)) as rows:
        for k, content in enumerate(known.digests):
            if content in known.rows:
                images, row = known.rows[content]
                rows[int(row_of[k])] = images[row]
                found[k] = Decoded(content, None)
    new = [k for k, result in enumerate(found) if result is None]
    jobs = [Job(int(row_of[k]), wanted.listing.files[k].path) for k in new]
    for k, result in zip(new, decode_files(jobs, target, wanted.form, progress), strict=True):
        found[k] = result
    return [result for result in found if result is not None]


def _keep_rows(folder: Path, wanted: Wanted, kept: np.ndarray) -> None:
    """Write the array file anew with some of its rows, so that the rest is stratified again."""
    images = np.load(folder / IMAGES, mmap_mode="r")
    target = entries.new_array_file(folder / "kept.npy", len(kept), wanted.form)
    with closing(FileRows(*target, wanted.form.bytes)) as rows:
        for row, old in enumerate(kept):
            rows[row] = images[old]
    del images
    (folder / "kept.npy").replace(folder / IMAGES)


def _describe(folder: Path, wanted: Wanted, order: np.ndarray, counts: Counts, found: Sequence[Decoded]) -> None:
    problems = {result.digest.hex(): result.problem for result in found if result.problem is not None}
    description = Description(wanted.form, wanted.listing.classes, counts, problems)
    contents = np.frombuffer(b"".join(found[k].digest for k in order), np.uint8).reshape(-1, 16)
    entries.write(folder, description, wanted.listing.labels()[order], contents, wanted.marks[order])


def _no_images(wanted: Wanted) -> DecodedImages:
    return DecodedImages(np.empty((0, *wanted.form.shape), np.uint8), np.empty(0, np.int64), (0, 0, 0), {})


def _problems(wanted: Wanted, found: Sequence[Decoded]) -> dict[str, str]:
    files = wanted.listing.files
    return {file.path: r.problem for file, r in zip(files, found, strict=True) if r.problem is not None}
