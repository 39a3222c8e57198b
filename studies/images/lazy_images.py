"""Images that are read on access: rows of a memory map, or files that are decoded every time."""

import contextlib
import logging
import math
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from spaces.errors import DataError, SearchError
from studies.images.decode_worker import decode_into
from studies.images.decoding import ImageFormat
from studies.images.messages import list_lines, printable_path
from studies.images.parallel_decode import core_count

_MAX_WARNINGS = 5

logger = logging.getLogger(__name__)


class Source(Protocol):
    """Source of rows: an array, or files."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, height, width, channels)."""

    def __getitem__(self, rows: np.ndarray, /) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class LazyImages:
    """A subset of the rows of a source. Indexing reads them: one by an integer, several by a slice or an array.

    Args:
        source: Source of the images.
        rows: (n,) indices of the rows.
    """

    source: Source
    rows: np.ndarray

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values: uint8 for images."""
        return self.source.dtype

    @property
    def ndim(self) -> int:
        """Number of dimensions: 4 for images."""
        return len(self.source.shape)

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, height, width, channels)."""
        return len(self.rows), *self.source.shape[1:]

    @property
    def nbytes(self) -> int:
        """Size of all images in bytes, once they are read."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Any) -> np.ndarray:
        rows = self.rows[key]
        if rows.ndim == 0:
            return np.asarray(self.source[rows[np.newaxis]][0])
        return np.asarray(self.source[rows])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        images = self[:]
        return images if dtype is None else images.astype(dtype)

    def subset(self, key: Any) -> "LazyImages":
        """Return a subset of these images without reading them."""
        return LazyImages(self.source, self.rows[key])


def select_rows(images: np.ndarray | LazyImages, rows: slice) -> np.ndarray | LazyImages:
    """Return a slice of images without reading or copying them."""
    return images.subset(rows) if isinstance(images, LazyImages) else images[rows]


@dataclass(frozen=True, eq=False)
class Stacked:
    """Two sources as one: the rows of the second follow those of the first.

    Args:
        first: Images.
        second: Images of the same shape.
    """

    first: Source
    second: Source

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values in both sources."""
        return self.first.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, height, width, channels)."""
        return self.first.shape[0] + self.second.shape[0], *self.first.shape[1:]

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        images = np.empty((len(rows), *self.shape[1:]), self.dtype)
        of_second = rows >= self.first.shape[0]
        images[~of_second] = self.first[rows[~of_second]]
        images[of_second] = self.second[rows[of_second] - self.first.shape[0]]
        return images


@dataclass(eq=False)
class LostFiles:
    """Files that could be decoded before the first trial but no longer can.

    Args:
        max_files: Maximum number of lost files.
        groups: (n,) split and class of each file as one number; no group may be lost as a whole. -1 for unused files.
        max_skipped: Maximum fraction of unreadable files, for the message.
        error: The error that ends the run, for callers that only see the error of another library.
    """

    max_files: int
    groups: np.ndarray
    max_skipped: float
    error: DataError | None = field(default=None, init=False)
    _found: dict[int, str] = field(default_factory=dict, init=False)

    def add(self, row: int, path: str, problem: str) -> None:
        """Record that a file cannot be decoded, and warn once about it."""
        if row not in self._found:
            self._found[row] = f"{printable_path(path)}: {problem}"
            if len(self._found) <= _MAX_WARNINGS:
                logger.warning("unreadable image %s (%s): using a black image instead", printable_path(path), problem)

    def check(self) -> None:
        """Raise `DataError` if too many files are lost, or all files of a class."""
        if not self._found:
            return
        lost = np.array(list(self._found))
        sizes, gone = (np.bincount(groups[groups >= 0]) for groups in (self.groups, self.groups[lost]))
        is_class_lost = bool((gone == sizes[: len(gone)])[gone > 0].any())
        if len(lost) > self.max_files or is_class_lost:
            self.error = DataError(self._message(is_class_lost))
            raise self.error

    def _message(self, is_class_lost: bool) -> str:
        what = "all images of a class" if is_class_lost else f"more than max_skipped={self.max_skipped:g} allows"
        return (
            f"{len(self._found)} image files can no longer be read, {what}:{list_lines(list(self._found.values()))}\n"
            "hint: restore the files, then run the same command again to resume"
        )


@contextlib.contextmanager
def raise_lost_files(images: Any) -> Iterator[None]:
    """Raise the `DataError` of lost files instead of the error that a library turns it into while it reads batches."""
    try:
        yield
    except Exception as error:
        lost = images.source.lost if isinstance(images, LazyImages) and isinstance(images.source, ImageFiles) else None
        if lost is None or lost.error is None or isinstance(error, SearchError):
            raise
        # A frame that keeps a feed alive would keep its thread reading, and that thread would delay the exit of Python.
        traceback.clear_frames(error.__traceback__)
        raise lost.error from None


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Image files as an array whose rows are decoded on all cores whenever they are read.

    A damaged file becomes a black image with one warning; too many damaged files are an error.

    Args:
        paths: Paths of the files.
        form: Format of the images.
        lost: Record of the files that can no longer be read.
    """

    paths: Sequence[str]
    form: ImageFormat
    lost: LostFiles

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8."""
        return np.dtype(np.uint8)

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, height, width, channels)."""
        return len(self.paths), *self.form.shape

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Decode a subset of the files.

        Raises:
            DataError: Too many files can no longer be read, or all files of a class.
        """
        self.lost.check()
        images = np.zeros((len(rows), *self.form.shape), np.uint8)
        with ThreadPoolExecutor(core_count()) as pool:
            list(pool.map(lambda row: self._decode(images, *row), enumerate(rows.tolist())))
        self.lost.check()
        return images

    def _decode(self, images: np.ndarray, target: int, row: int) -> None:
        problem = decode_into(images, target, self.paths[row], self.form).problem
        if problem is not None:
            self.lost.add(row, self.paths[row], problem)
