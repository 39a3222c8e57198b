"""One data set in the cache: decoded images in one array file, their labels, and what was left out.

The rows are those of the test part, then of the validation part, then of the training part, each in stratified order,
with equal pictures side by side.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from studies.images.decoding import ImageFormat
from studies.images.lazy_images import LazyImages
from studies.images.parallel_decode import ArrayFile

VERSION = 3
"""Of the layout and of the decoding; entries of another version are never found again."""

DESCRIPTION, IMAGES = "entry.json", "images.npy"
_ARRAYS = ("labels", "files", "pictures", "looks", "left_out")
_BLOCKS, _BLOCK_BYTES = 64, 4096


@dataclass(frozen=True)
class Description:
    """What `entry.json` says.

    Args:
        form: Size, channels and resizing of the images.
        classes: Names of the classes.
        counts: Rows of the test, the validation and the training part.
        problems: Why files were left out, by the digest of their content in hexadecimal.
        source: The folder it was made from; another with the same content may have found it since.
        likeness: Changes with the names and sizes of the files, and tells whether it may hold the images of a folder.
        sample: Digest of parts of the array file, which finds a file that was only partly written.
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
    """Decoded images and what belongs to them.

    Args:
        images: (n, height, width, channels) uint8.
        labels: (n,) int64.
        counts: Rows of the test, the validation and the training part.
        files: (n,) int64, the file of each row by its place in the listing.
        pictures: (n,) uint64 hash of all pixels.
        looks: (n,) uint64 difference hash; 0 where it says nothing.
        left_out: (m, 2) int64, files whose pictures stand in another part, each with the file there.
        problems: Why files were left out, by the digest of their content in hexadecimal.
    """

    images: np.ndarray | LazyImages
    labels: np.ndarray
    counts: tuple[int, int, int]
    files: np.ndarray
    pictures: np.ndarray
    looks: np.ndarray
    left_out: np.ndarray
    problems: Mapping[str, str] = field(default_factory=dict)


def read(folder: Path) -> DecodedImages | None:
    """The images of an entry, memory-mapped and read-only; None when it is absent or damaged."""
    description = describe(folder)
    if description is None:
        return None
    try:
        images = np.load(folder / IMAGES, mmap_mode="r")
        arrays = {name: np.load(folder / f"{name}.npy") for name in _ARRAYS}
        if sample_of(folder / IMAGES) != description.sample:
            return None
    except (OSError, ValueError, EOFError):
        return None
    lengths = {len(array) for name, array in arrays.items() if name != "left_out"}
    if images.shape != (sum(description.counts), *description.form.shape) or lengths != {len(images)}:
        return None
    return DecodedImages(images, counts=description.counts, problems=description.problems, **arrays)


def describe(folder: Path) -> Description | None:
    """What an entry says of itself; None when it is absent or damaged."""
    try:
        found = json.loads((folder / DESCRIPTION).read_text())
        form = ImageFormat(*found.pop("form"))
        return Description(form, tuple(found.pop("classes")), tuple(found.pop("counts")), **found)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def features_shape(folder: Path) -> tuple[int, ...] | None:
    """The shape of an entry that holds features; None when it holds something else or is damaged."""
    try:
        found = json.loads((folder / DESCRIPTION).read_text())
        return tuple(found["shape"]) if found["kind"] == "features" else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def last_used(folder: Path) -> float:
    """When an entry was last used, in seconds since 1970."""
    try:
        return (folder / DESCRIPTION).stat().st_mtime
    except OSError:
        return 0.0


def mark_used(folder: Path) -> None:
    """Note that an entry is used now; in a read-only cache nothing is noted."""
    with contextlib.suppress(OSError):
        os.utime(folder / DESCRIPTION)


def array_file(path: Path, rows: int, form: ImageFormat, *, is_new: bool = True) -> ArrayFile:
    """A NumPy file of images that are all still to be written, or one whose rows are partly written."""
    with path.open("wb" if is_new else "r+b") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (rows, *form.shape)}
        np.lib.format.write_array_header_2_0(file, header)
        offset = file.tell()
        file.truncate(offset + rows * form.bytes)
    return ArrayFile(str(path), offset)


def write(folder: Path, description: Description, decoded: DecodedImages) -> None:
    """Complete an entry whose array file is written, and see that it reaches the disk before it is given its name."""
    for name in _ARRAYS:
        np.save(folder / f"{name}.npy", getattr(decoded, name))
    content = {**vars(description), "problems": dict(description.problems), "sample": sample_of(folder / IMAGES)}
    (folder / DESCRIPTION).write_text(json.dumps(content))
    for path in folder.iterdir():
        with path.open("r+b") as file:
            os.fsync(file.fileno())


def sample_of(path: Path) -> str:
    """Digest of the length and of 64 blocks spread evenly over a file."""
    with path.open("rb", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        found = hashlib.blake2b(str(size).encode(), digest_size=16)
        for k in range(_BLOCKS):
            file.seek(max(0, size - _BLOCK_BYTES) * k // (_BLOCKS - 1))
            found.update(file.read(_BLOCK_BYTES))
    return found.hexdigest()
