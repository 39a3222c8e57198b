"""Images that are read when they are asked for: some rows of a memory map, or files that are decoded every time."""

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
from studies.images.decoding import ImageFormat, shown_path
from studies.images.parallel_decode import cores

_NAMED_FILES = 5

logger = logging.getLogger(__name__)


class Source(Protocol):
    """Where rows come from: an array, or files."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, height, width, channels)."""

    def __getitem__(self, rows: np.ndarray, /) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class LazyImages:
    """Some rows of a source, in some order. Indexing reads: one image by a number, several by a slice or an array.

    Args:
        source: Where the images are.
        rows: (n,) which of them.
    """

    source: Source
    rows: np.ndarray

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the source: uint8 for images."""
        return self.source.dtype

    @property
    def ndim(self) -> int:
        """4 for images."""
        return len(self.source.shape)

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, height, width, channels)."""
        return len(self.rows), *self.source.shape[1:]

    @property
    def nbytes(self) -> int:
        """Bytes of all images once they are read."""
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
        """Some of these images, not read yet."""
        return LazyImages(self.source, self.rows[key])


def part_of(images: np.ndarray | LazyImages, rows: slice) -> np.ndarray | LazyImages:
    """A slice of images without reading or copying them."""
    return images.subset(rows) if isinstance(images, LazyImages) else images[rows]


@dataclass(frozen=True, eq=False)
class Stacked:
    """Two sources as one, the rows of the second after those of the first.

    Args:
        first: Images of some shape.
        second: Images of the same shape.
    """

    first: Source
    second: Source

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of both."""
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
    """Files that could be decoded before the first trial and cannot be any more.

    Args:
        most: How many files may be lost.
        groups: (n,) the split and class of each file as one number, no group may be lost; -1 for unused files.
        max_skipped: Largest share of files that may be unreadable, for the message.
        error: Why the run must end, once it must; also for those who see the error of another library only.
    """

    most: int
    groups: np.ndarray
    max_skipped: float
    error: DataError | None = field(default=None, init=False)
    _found: dict[int, str] = field(default_factory=dict, init=False)

    def add(self, row: int, path: str, problem: str) -> None:
        """Note that a file cannot be decoded, and warn of it once."""
        if row not in self._found:
            self._found[row] = f"{shown_path(path)}: {problem}"
            if len(self._found) <= _NAMED_FILES:
                logger.warning("%s is taken as a black picture: %s. Restore it.", shown_path(path), problem)

    def check(self) -> None:
        """Raise `DataError` where too many files are lost, or all of a class."""
        if not self._found:
            return
        lost = np.array(list(self._found))
        sizes, gone = (np.bincount(groups[groups >= 0]) for groups in (self.groups, self.groups[lost]))
        is_class_lost = bool((gone == sizes[: len(gone)])[gone > 0].any())
        if len(lost) > self.most or is_class_lost:
            self.error = DataError(self._message(is_class_lost))
            raise self.error

    def _message(self, is_class_lost: bool) -> str:
        first = "".join(f"\n  {text}" for text in list(self._found.values())[:_NAMED_FILES])
        rest = len(self._found) - _NAMED_FILES
        more = f"\n  and {rest} more" if rest > 0 else ""
        what = "all images of a class" if is_class_lost else f"more than max_skipped={self.max_skipped:g} allows"
        return (
            f"{len(self._found)} image files that could be read before can no longer be read, {what}:{first}{more}\n"
            "Restore the files, then run the same command again to resume."
        )


@contextlib.contextmanager
def reporting_lost_files(images: Any) -> Iterator[None]:
    """Raise the `DataError` of lost files in place of the error that a library makes of it while it reads batches."""
    try:
        yield
    except Exception as error:
        lost = images.source.lost if isinstance(images, LazyImages) and isinstance(images.source, ImageFiles) else None
        if lost is None or lost.error is None or isinstance(error, SearchError):
            raise
        # A feed that is kept by a frame would read on in its own thread, and that thread holds up the end of Python.
        traceback.clear_frames(error.__traceback__)
        raise lost.error from None


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Image files as an array whose rows are decoded, on all cores, whenever they are read.

    A file that turns out to be damaged is a black picture, and is named once in a warning; many are an error.

    Args:
        paths: The files.
        form: What images are brought to.
        lost: Counts the files that cannot be read any more.
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
        """Decode some of the files.

        Raises:
            DataError: Too many files can no longer be read, or none of a class.
        """
        self.lost.check()
        images = np.zeros((len(rows), *self.form.shape), np.uint8)
        with ThreadPoolExecutor(cores()) as pool:
            list(pool.map(lambda row: self._decode(images, *row), enumerate(rows.tolist())))
        self.lost.check()
        return images

    def _decode(self, images: np.ndarray, target: int, row: int) -> None:
        problem = decode_into(images, target, self.paths[row], self.form).problem
        if problem is not None:
            self.lost.add(row, self.paths[row], problem)
