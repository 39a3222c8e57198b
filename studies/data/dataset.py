"""What every source of data ends in: three splits of images and labels, and what was left out."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from studies.data.duplicates import Duplicates
from studies.events import DataReady
from studies.images.lazy_images import ImageFiles, LazyImages, Stacked

Images: TypeAlias = Any
"""An array, or `LazyImages`, which answer what feeds and models ask of an array: a type checker sees two things."""


IDENTIFYING_IMAGES = 256
"""Images of each split that enter its data set's identity."""

MOST_COPIED_BYTES = 2**30
"""Of images that are picked out of a larger array."""


class Skipped(NamedTuple):
    """A file that was left out.

    Args:
        path: Its path, with characters that cannot be shown escaped.
        reason: Why, in a few words.
    """

    path: str
    reason: str


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their labels.

    Args:
        images: (n, height, width, channels) uint8; may be a read-only memory map, or read whenever asked for.
        labels: (n,) int64, positions in the dataset's `classes`.
        pictures: (n,) uint64, equal for equal pictures; None where all are taken as different.
    """

    images: Images
    labels: np.ndarray
    pictures: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def counts(self, classes: Sequence[str]) -> dict[str, int]:
        """How many images each class has."""
        numbers = np.bincount(self.labels, minlength=len(classes))
        return {name: int(number) for name, number in zip(classes, numbers, strict=True)}


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set that is ready to train on.

    Args:
        train: What the trials learn from.
        validation: What the trials are judged by.
        test: What the one test at the end uses; shares no image with the other two.
        classes: The names of the classes; a label is a position in it.
        skipped: The files that were left out.
        resize: How an image of another size is brought to `image_shape`: `stretch`, `crop` or `pad`.
        duplicates: Pictures that stood in more than one split, and what became of them.
        notices: What the user should know about how the data was read, a sentence each.
    """

    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...]
    skipped: tuple[Skipped, ...] = ()
    resize: str = "stretch"
    duplicates: Duplicates = field(default_factory=Duplicates)
    notices: tuple[str, ...] = ()

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of every image."""
        height, width, channels = self.train.images.shape[1:]
        return int(height), int(width), int(channels)

    def summary(self) -> DataReady:
        """What the user is told about the images."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        images = {name: tuple(split.counts(self.classes).values()) for name, split in splits.items()}
        return DataReady(self.classes, self.image_shape, images, self.skipped, self.notices)


def identity(dataset: Dataset) -> dict[str, Any]:
    """What tells this data set from another: sizes and classes for people, and a digest of labels and images.

    The digest reads every label but only some images of each split, so that it costs no second pass over the data.
    """
    digest = hashlib.blake2b(digest_size=8)
    for split in (dataset.train, dataset.validation, dataset.test):
        digest.update(split.labels.tobytes())
        for index in np.unique(np.linspace(0, len(split) - 1, IDENTIFYING_IMAGES).astype(int)):
            digest.update(split.images[index].tobytes())
    return {
        "classes": list(dataset.classes),
        "images": [len(dataset.train), len(dataset.validation), len(dataset.test)],
        "image_shape": list(dataset.image_shape),
        "digest": digest.hexdigest(),
    }


def concatenate(a: Split, b: Split) -> Split:
    """The images of both, without a copy where they lie side by side in memory or in one file.

    Others are copied where they are few, else read whenever they are asked for. The order is that of memory where they
    lie side by side, else `a` before `b`.
    """
    for first, second in ((a, b), (b, a)):
        images = _joined(first.images, second.images)
        if images is not None:
            return _both(images, first, second)
    if a.images.nbytes + b.images.nbytes <= MOST_COPIED_BYTES:
        return _both(np.concatenate([a.images, b.images]), a, b)
    lazy = LazyImages(Stacked(a.images, b.images), np.arange(len(a) + len(b)))
    return _both(lazy, a, b)


def subset(split: Split, rows: np.ndarray) -> Split:
    """Some images of a split, read whenever they are asked for."""
    labels, pictures = split.labels[rows], None if split.pictures is None else split.pictures[rows]
    images = split.images
    return Split(images.subset(rows) if isinstance(images, LazyImages) else LazyImages(images, rows), labels, pictures)


def copied_if_few(split: Split) -> Split:
    """The same images in memory, unless they are many, or files that are to be decoded whenever they are read."""
    images = split.images
    if not isinstance(images, LazyImages) or isinstance(images.source, ImageFiles):
        return split
    return replace(split, images=images[:]) if images.nbytes <= MOST_COPIED_BYTES else split


def _both(images: Images, first: Split, second: Split) -> Split:
    labels = np.concatenate([first.labels, second.labels])
    if first.pictures is None or second.pictures is None:
        return Split(images, labels)
    return Split(images, labels, np.concatenate([first.pictures, second.pictures]))


def _joined(first: Images, second: Images) -> Images | None:
    """One view of two neighbours in the same array, or of rows of the same source, or None."""
    if isinstance(first, LazyImages) or isinstance(second, LazyImages):
        return _lazily_joined(first, second)
    whole = _whole(first)
    if whole is not _whole(second) or whole.shape[1:] != first.shape[1:] or not len(first):
        return None
    if not all(images.flags.c_contiguous for images in (whole, first, second)):
        return None
    if _address(first) + first.nbytes != _address(second):
        return None
    start = (_address(first) - _address(whole)) // first[0].nbytes
    return whole[start : start + len(first) + len(second)]


def _lazily_joined(first: Images, second: Images) -> LazyImages | None:
    """Rows of the same source, or of two sources that are neighbours in the same array."""
    if not (isinstance(first, LazyImages) and isinstance(second, LazyImages)):
        return None
    if first.source is second.source:
        return LazyImages(first.source, np.concatenate([first.rows, second.rows]))
    if not (isinstance(first.source, np.ndarray) and isinstance(second.source, np.ndarray)):
        return None
    whole = _joined(first.source, second.source)
    if whole is None:
        return None
    return LazyImages(whole, np.concatenate([first.rows, second.rows + len(first.source)]))


def _whole(images: np.ndarray) -> np.ndarray:
    """The array that a view was cut from."""
    while isinstance(images.base, np.ndarray) and images.base.ndim == images.ndim:
        images = images.base
    return images


def _address(images: np.ndarray) -> int:
    return int(images.__array_interface__["data"][0])
