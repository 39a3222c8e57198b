"""The data set that every source of images produces: three splits of images and labels, and the files left out."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from studies.data.duplicates import Duplicates
from studies.events import DataReady
from studies.images.lazy_images import ImageFiles, LazyImages, Stacked

Images: TypeAlias = Any
"""An array, or `LazyImages`, which offer what feeds and models need of an array."""

IDENTIFYING_IMAGES = 256
"""Number of images of each split that are part of the identity of a data set."""

MAX_COPIED_BYTES = 2**30
"""Largest subset of a larger array that is copied into memory."""


class Skipped(NamedTuple):
    """A file that was left out.

    Args:
        path: Printable path.
        reason: Reason in a few words.
    """

    path: str
    reason: str


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their labels.

    Args:
        images: (n, height, width, channels) uint8; may be a read-only memory map, or read on access.
        labels: (n,) int64, indices into the data set's `classes`.
        exact_hashes: (n,) uint64, equal for duplicates; None to treat all images as different.
    """

    images: Images
    labels: np.ndarray
    exact_hashes: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def counts(self, classes: Sequence[str]) -> dict[str, int]:
        """Return the number of images of each class."""
        numbers = np.bincount(self.labels, minlength=len(classes))
        return {name: int(number) for name, number in zip(classes, numbers, strict=True)}


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set that is ready to train on.

    Args:
        train: Images that trials train on.
        validation: Images that trials are judged by.
        test: Images of the final test; shares no image with the other splits.
        classes: Names of the classes, indexed by the labels.
        skipped: Files that were left out.
        resize: Method to convert an image of another size to `image_shape`: `stretch`, `crop` or `pad`.
        duplicates: Duplicates and near-duplicates in different splits.
        notices: What the user should know about how the data was read, one line each.
        has_own_validation: True if the user has chosen the validation images, rather than only their fraction.
    """

    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...]
    skipped: tuple[Skipped, ...] = ()
    resize: str = "stretch"
    duplicates: Duplicates = field(default_factory=Duplicates)
    notices: tuple[str, ...] = ()
    has_own_validation: bool = False

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of every image."""
        height, width, channels = self.train.images.shape[1:]
        return int(height), int(width), int(channels)

    def summary(self) -> DataReady:
        """Return the summary of the images that the user sees."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        images = {name: tuple(split.counts(self.classes).values()) for name, split in splits.items()}
        return DataReady(self.classes, self.image_shape, images, self.skipped, self.notices)


def identity(dataset: Dataset) -> dict[str, Any]:
    """Return what identifies a data set: sizes and classes, and a digest of labels and images.

    The digest covers every label but only some images of each split, to avoid a second pass over the data.
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
    """Concatenate two splits, without a copy if they are adjacent in memory or in one file.

    Other images are copied if they are small, else read on access. Adjacent images keep their order in memory; else `a`
    comes first.
    """
    for first, second in ((a, b), (b, a)):
        images = _join_views(first.images, second.images)
        if images is not None:
            return _merge(images, first, second)
    if a.images.nbytes + b.images.nbytes <= MAX_COPIED_BYTES:
        return _merge(np.concatenate([a.images, b.images]), a, b)
    lazy = LazyImages(Stacked(a.images, b.images), np.arange(len(a) + len(b)))
    return _merge(lazy, a, b)


def subset(split: Split, rows: np.ndarray) -> Split:
    """Return a subset of a split that is read on access."""
    images = split.images.subset(rows) if isinstance(split.images, LazyImages) else LazyImages(split.images, rows)
    return Split(images, split.labels[rows], None if split.exact_hashes is None else split.exact_hashes[rows])


def stratified_part(dataset: Dataset, images: int, least: int = 1) -> Dataset:
    """Return a data set with about this many training and validation images, of each class an equal fraction.

    Each class keeps `least` images of each split, if it has as many.
    """
    fraction = images / (len(dataset.train) + len(dataset.validation))
    train, validation = (_part(split, fraction, least) for split in (dataset.train, dataset.validation))
    return replace(dataset, train=train, validation=validation)


def _part(split: Split, fraction: float, least: int) -> Split:
    classes = (np.flatnonzero(split.labels == label) for label in np.unique(split.labels))
    rows = np.concatenate([rows[: max(least, math.ceil(fraction * len(rows)))] for rows in classes])
    return copy_if_small(subset(split, np.sort(rows)))


def copy_if_small(split: Split) -> Split:
    """Copy the images of a split into memory, unless they are large or files that are decoded on every access."""
    images = split.images
    if not isinstance(images, LazyImages) or isinstance(images.source, ImageFiles):
        return split
    return replace(split, images=images[:]) if images.nbytes <= MAX_COPIED_BYTES else split


def _merge(images: Images, first: Split, second: Split) -> Split:
    labels = np.concatenate([first.labels, second.labels])
    if first.exact_hashes is None or second.exact_hashes is None:
        return Split(images, labels)
    return Split(images, labels, np.concatenate([first.exact_hashes, second.exact_hashes]))


def _join_views(first: Images, second: Images) -> Images | None:
    """Return one view of two adjacent arrays, or of rows of the same source, else None."""
    if isinstance(first, LazyImages) or isinstance(second, LazyImages):
        return _join_lazy(first, second)
    whole = _base_array(first)
    if whole is not _base_array(second) or whole.shape[1:] != first.shape[1:] or not len(first):
        return None
    if not all(images.flags.c_contiguous for images in (whole, first, second)):
        return None
    if _address(first) + first.nbytes != _address(second):
        return None
    start = (_address(first) - _address(whole)) // first[0].nbytes
    return whole[start : start + len(first) + len(second)]


def _join_lazy(first: Images, second: Images) -> LazyImages | None:
    """Return rows of the same source, or of two sources that are adjacent in one array, else None."""
    if not (isinstance(first, LazyImages) and isinstance(second, LazyImages)):
        return None
    if first.source is second.source:
        return LazyImages(first.source, np.concatenate([first.rows, second.rows]))
    if not (isinstance(first.source, np.ndarray) and isinstance(second.source, np.ndarray)):
        return None
    whole = _join_views(first.source, second.source)
    if whole is None:
        return None
    return LazyImages(whole, np.concatenate([first.rows, second.rows + len(first.source)]))


def _base_array(images: np.ndarray) -> np.ndarray:
    """Return the array that a view was cut from."""
    while isinstance(images.base, np.ndarray) and images.base.ndim == images.ndim:
        images = images.base
    return images


def _address(images: np.ndarray) -> int:
    return int(images.__array_interface__["data"][0])
