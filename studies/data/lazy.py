"""Images that are read when they are asked for: some rows of a memory map, or files that are decoded every time."""

import logging
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from studies.data.decode_worker import decode_into
from studies.data.decoding import Form, shown
from studies.data.parallel import cores

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

    def chosen(self, key: Any) -> "LazyImages":
        """Some of these images, not read yet."""
        return LazyImages(self.source, self.rows[key])


def part_of(images: np.ndarray | LazyImages, rows: slice) -> np.ndarray | LazyImages:
    """A slice of images without reading or copying them."""
    return images.chosen(rows) if isinstance(images, LazyImages) else images[rows]


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


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Image files as an array whose rows are decoded, on all cores, whenever they are read.

    A file that turns out to be damaged is a black picture, and is named once in a warning.

    Args:
        paths: The files.
        form: What images are brought to.
    """

    paths: Sequence[str]
    form: Form
    _told: set[str] = field(default_factory=set, init=False)

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8."""
        return np.dtype(np.uint8)

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, height, width, channels)."""
        return len(self.paths), *self.form.shape

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        images = np.zeros((len(rows), *self.form.shape), np.uint8)
        with ThreadPoolExecutor(cores()) as pool:
            list(pool.map(lambda row: self._decode(images, *row), enumerate(rows.tolist())))
        return images

    def _decode(self, images: np.ndarray, target: int, row: int) -> None:
        path = self.paths[row]
        problem = decode_into(images, target, path, self.form).problem
        if problem is not None and path not in self._told:
            self._told.add(path)
            logger.warning("%s is taken as a black picture: %s. Remove or replace it.", shown(path), problem)
