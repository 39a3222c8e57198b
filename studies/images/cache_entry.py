"""Read and write one data set in the image cache: an array file of decoded images, their labels and duplicates.

The rows hold the test split, then the validation split, then the training split, each in stratified order, with
duplicates next to each other.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from studies.images.decoding import ImageFormat
from studies.images.lazy_images import LazyImages
from studies.images.parallel_decode import ArrayFile

VERSION = 4
"""Version of the layout and of the decoding; entries of other versions are ignored."""

DESCRIPTION, IMAGES = "entry.json", "images.npy"
_ARRAYS = ("labels", "files", "exact_hashes", "perceptual_hashes", "left_out")
_BLOCKS, _BLOCK_BYTES = 64, 4096


@dataclass(frozen=True)
class Description:
    """Content of `entry.json`.

    Args:
        form: Size, channels and resizing of the images.
        classes: Names of the classes.
        counts: Number of rows of the test, validation and training split.
        problems: Reason for each file that was left out, by the hexadecimal digest of its content.
        source: Folder that the entry was built from; folders with the same content share the entry.
        likeness: Digest of the names and sizes of the files; equal for folders that may have the same content.
        sample: Digest of blocks of the array file; detects a file that was written only in part.
    """

    form: ImageFormat
    classes: tuple[str, ...]
    counts: tuple[int, int, int]
    problems: Mapping[str, str]
    source: str = ""
    likeness: str = ""
    sample: str = ""


@dataclass(frozen=True, eq=False)
class DecodedImages:
    """Decoded images with their labels and hashes.

    Args:
        images: (n, height, width, channels) uint8.
        labels: (n,) int64.
        counts: Number of rows of the test, validation and training split.
        files: (n,) int64, index in the listing of the file of each row.
        exact_hashes: (n,) uint64 hash of all pixels.
        perceptual_hashes: (n,) uint64 difference hash; 0 where it is not meaningful.
        left_out: (m, 2) int64, indices of files that duplicate an image of another split, and of the file there.
        problems: Reason for each file that was left out, by the hexadecimal digest of its content.
    """

    images: np.ndarray | LazyImages
    labels: np.ndarray
    counts: tuple[int, int, int]
    files: np.ndarray
    exact_hashes: np.ndarray
    perceptual_hashes: np.ndarray
    left_out: np.ndarray
    problems: Mapping[str, str] = field(default_factory=dict)


def read(folder: Path) -> DecodedImages | None:
    """Return the images of an entry, memory-mapped and read-only, or None if it is missing or damaged."""
    description = describe(folder)
    if description is None:
        return None
    try:
        images = np.load(folder / IMAGES, mmap_mode="r")
        arrays = {name: np.load(folder / f"{name}.npy") for name in _ARRAYS}
        if sample_digest(folder / IMAGES) != description.sample:
            return None
    except (OSError, ValueError, EOFError):
        return None
    lengths = {len(array) for name, array in arrays.items() if name != "left_out"}
    if images.shape != (sum(description.counts), *description.form.shape) or lengths != {len(images)}:
        return None
    return DecodedImages(images, counts=description.counts, problems=description.problems, **arrays)


def describe(folder: Path) -> Description | None:
    """Return the description of an entry, or None if it is missing or damaged."""
    try:
        found = json.loads((folder / DESCRIPTION).read_text())
        form = ImageFormat(*found.pop("form"))
        return Description(form, tuple(found.pop("classes")), tuple(found.pop("counts")), **found)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def features_shape(folder: Path) -> tuple[int, ...] | None:
    """Return the shape of an entry of features, or None if it holds something else or is damaged."""
    try:
        found = json.loads((folder / DESCRIPTION).read_text())
        return tuple(found["shape"]) if found["kind"] == "features" else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def last_used(folder: Path) -> float:
    """Return when an entry was last used, in seconds since 1970."""
    try:
        return (folder / DESCRIPTION).stat().st_mtime
    except OSError:
        return 0.0


def mark_used(folder: Path) -> None:
    """Record that an entry is used now; a read-only cache records nothing."""
    with contextlib.suppress(OSError):
        os.utime(folder / DESCRIPTION)


def create_array_file(path: Path, rows: int, form: ImageFormat, *, is_new: bool = True) -> ArrayFile:
    """Create a NumPy file with room for all images, or open one whose rows are written only in part."""
    with path.open("wb" if is_new else "r+b") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (rows, *form.shape)}
        np.lib.format.write_array_header_2_0(file, header)
        offset = file.tell()
        file.truncate(offset + rows * form.bytes)
    return ArrayFile(str(path), offset)


def write(folder: Path, description: Description, decoded: DecodedImages) -> None:
    """Complete an entry whose array file is written, and flush it to disk before it is published."""
    for name in _ARRAYS:
        np.save(folder / f"{name}.npy", getattr(decoded, name))
    content = {**vars(description), "problems": dict(description.problems), "sample": sample_digest(folder / IMAGES)}
    complete(folder, content)


def complete(folder: Path, description: Mapping[str, Any]) -> None:
    """Write the description of an entry whose other files are written, and flush all of them to disk."""
    (folder / DESCRIPTION).write_text(json.dumps(description))
    for path in folder.iterdir():
        with path.open("r+b") as file:
            os.fsync(file.fileno())


def sample_digest(path: Path) -> str:
    """Return a digest of the length of a file and of 64 blocks spread evenly over it."""
    with path.open("rb", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        found = hashlib.blake2b(str(size).encode(), digest_size=16)
        for k in range(_BLOCKS):
            file.seek(max(0, size - _BLOCK_BYTES) * k // (_BLOCKS - 1))
            found.update(file.read(_BLOCK_BYTES))
    return found.hexdigest()
