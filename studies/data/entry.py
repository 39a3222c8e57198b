"""One data set in the cache: decoded images in one array file, their labels, and what was left out.

The rows are those of the test part, then of the validation part, then of the training part, each in stratified order.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from studies.data.decoding import Form
from studies.data.parallel import ArrayFile

VERSION = 1
"""Of the layout and of the decoding; entries of another version are never found again."""

DESCRIPTION, IMAGES = "entry.json", "images.npy"
_BLOCKS, _BLOCK_BYTES = 64, 4096


@dataclass(frozen=True)
class Description:
    """What `entry.json` says.

    Args:
        form: Size, channels and resizing of the images.
        classes: Names of the classes.
        counts: Rows of the test, the validation and the training part.
        problems: Why files were left out, by the digest of their content in hexadecimal.
        sample: Digest of parts of the array file, which finds a file that was only partly written.
    """

    form: Form
    classes: tuple[str, ...]
    counts: tuple[int, int, int]
    problems: Mapping[str, str]
    sample: str = ""


@dataclass(frozen=True, eq=False)
class DecodedImages:
    """Decoded images and what belongs to them.

    Args:
        images: (n, height, width, channels) uint8.
        labels: (n,) int64.
        counts: Rows of the test, the validation and the training part.
        problems: Why files were left out, by the digest of their content in hexadecimal.
    """

    images: np.ndarray
    labels: np.ndarray
    counts: tuple[int, int, int]
    problems: Mapping[str, str]


def read(folder: Path) -> DecodedImages | None:
    """The images of an entry, memory-mapped and read-only; None when it is absent or damaged."""
    description = describe(folder)
    if description is None:
        return None
    try:
        images = np.load(folder / IMAGES, mmap_mode="r")
        labels = np.load(folder / "labels.npy")
        if _sample(folder / IMAGES) != description.sample:
            return None
    except (OSError, ValueError, EOFError):
        return None
    if images.shape != (sum(description.counts), *description.form.shape) or len(labels) != len(images):
        return None
    return DecodedImages(images, labels, description.counts, description.problems)


def describe(folder: Path) -> Description | None:
    """What an entry says of itself; None when it is absent or damaged."""
    try:
        found = json.loads((folder / DESCRIPTION).read_text())
        form = Form(*found.pop("form"))
        return Description(form, tuple(found.pop("classes")), tuple(found.pop("counts")), **found)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def origins(folder: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """Of each row, the digest of its file's content (n, 16) uint8, and the mark of its name and size (n,) uint64."""
    try:
        return np.load(folder / "digests.npy"), np.load(folder / "marks.npy")
    except (OSError, ValueError, EOFError):
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


def new_array_file(path: Path, rows: int, form: Form) -> ArrayFile:
    """A NumPy file of images that are all still to be written."""
    with path.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (rows, *form.shape)}
        np.lib.format.write_array_header_2_0(file, header)
        offset = file.tell()
        file.truncate(offset + rows * form.bytes)
    return ArrayFile(str(path), offset)


def write(folder: Path, description: Description, labels: np.ndarray, digests: np.ndarray, marks: np.ndarray) -> None:
    """Complete an entry whose array file is written, and see that it reaches the disk before it is given its name."""
    for name, array in (("labels", labels), ("digests", digests), ("marks", marks)):
        np.save(folder / f"{name}.npy", array)
    content = {
        "form": description.form,
        "classes": description.classes,
        "counts": description.counts,
        "problems": dict(description.problems),
        "sample": _sample(folder / IMAGES),
    }
    (folder / DESCRIPTION).write_text(json.dumps(content))
    for path in folder.iterdir():
        with path.open("r+b") as file:
            os.fsync(file.fileno())


def _sample(path: Path) -> str:
    """Digest of the length and of 64 blocks spread evenly over a file."""
    with path.open("rb", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        found = hashlib.blake2b(str(size).encode(), digest_size=16)
        for k in range(_BLOCKS):
            file.seek(max(0, size - _BLOCK_BYTES) * k // (_BLOCKS - 1))
            found.update(file.read(_BLOCK_BYTES))
    return found.hexdigest()
