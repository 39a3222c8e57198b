"""What every source of data ends in: three splits of images and labels, and what was left out."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

Images = np.ndarray
"""Images (n, height, width, channels), uint8; may be read-only and memory-mapped."""


IDENTIFYING_IMAGES = 256
"""Images of each split that enter its data set's identity."""


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
        images: (n, height, width, channels) uint8; may be a read-only memory map.
        labels: (n,) int64, positions in the dataset's `classes`.
    """

    images: np.ndarray
    labels: np.ndarray

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
    """

    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...]
    skipped: tuple[Skipped, ...] = ()
    resize: str = "stretch"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of every image."""
        height, width, channels = self.train.images.shape[1:]
        return int(height), int(width), int(channels)


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


def concatenated(a: Split, b: Split) -> Split:
    """The images of both, without a copy where they lie side by side in memory or in one file.

    The order is that of memory where nothing is copied, else `a` before `b`.
    """
    for first, second in ((a, b), (b, a)):
        images = _joined(first.images, second.images)
        if images is not None:
            return Split(images, np.concatenate([first.labels, second.labels]))
    return Split(np.concatenate([a.images, b.images]), np.concatenate([a.labels, b.labels]))


def _joined(first: Images, second: Images) -> Images | None:
    """One view of two neighbours in the same array, or None."""
    whole = _whole(first)
    if whole is not _whole(second) or whole.shape[1:] != first.shape[1:] or not len(first):
        return None
    if not all(images.flags.c_contiguous for images in (whole, first, second)):
        return None
    if _address(first) + first.nbytes != _address(second):
        return None
    start = (_address(first) - _address(whole)) // first[0].nbytes
    return whole[start : start + len(first) + len(second)]


def _whole(images: Images) -> Images:
    """The array that a view was cut from."""
    while isinstance(images.base, np.ndarray) and images.base.ndim == images.ndim:
        images = images.base
    return images


def _address(images: Images) -> int:
    return int(images.__array_interface__["data"][0])
