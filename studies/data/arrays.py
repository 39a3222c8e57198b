"""Data that comes as arrays: checked, brought to uint8 pixels and numbered labels, and split where it is not yet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from spaces.errors import DataError
from studies.data.array_images import uint8_images
from studies.data.array_labels import class_numbers
from studies.data.class_checks import notices_of_names
from studies.data.dataset import Dataset, Split
from studies.data.duplicates import Duplicates, find_duplicates, hash_images, summarize_overlap
from studies.data.label_conflicts import label_conflicts
from studies.data.stratify import check_enough, different, shuffled_ranks, split_off

PARTS = ("train", "validation", "test")

_DARK = 32
"""Images without a brighter pixel than this of 255 are reported."""


def dataset_of(
    parts: Mapping[str, tuple[Any, Any]],
    where: str,
    *,
    classes: Sequence[str] | None = None,
    validation: float,
    test: float | None,
) -> Dataset:
    """The splits of images and labels in arrays.

    Args:
        parts: Images and labels of `train` and, where there are any, of `validation` and `test`. Images are
            (n, height, width) or (n, height, width, channels), 0 to 255 (or 0 to 1 when they are floats), in one range
            for all parts; labels are (n,) or (n, 1) integers or texts.
        where: Where the arrays come from, for messages.
        classes: Names of the classes; whole-number labels are positions in it. None takes the labels themselves.
        validation: Share of the training images that is split off when there is no `validation`.
        test: Share of all images that is kept aside when there is no `test`.

    Raises:
        DataError: An array has a wrong type, shape or value, or a class has too few images.
    """
    images = uint8_images({part: pair[0] for part, pair in parts.items()}, where)
    names, labels = class_numbers({part: pair[1] for part, pair in parts.items()}, classes, where)
    for part in parts:
        _check_lengths(images[part], labels[part], f"{where}: {part}")
    _check_counts(labels, names, where)
    found = {part: _Part.of(part, images[part], labels[part]) for part in parts}
    every = [found[part] for part in parts]
    pictures, numbers, of_images = (
        np.concatenate([getattr(part, name) for part in every]) for name in ("pictures", "labels", "names")
    )
    conflicts = label_conflicts(pictures, numbers, lambda row: str(of_images[row]), names)
    doubles = find_duplicates({part: part_found.pictures for part, part_found in found.items()})
    left_out = {(a, b): [(f"{a}[{i}]", f"{b}[{j}]") for i, j in pairs.tolist()] for (a, b), pairs in doubles.items()}
    for (part, _), pairs in doubles.items():
        found[part] = found[part].without(pairs[:, 0])
    _check_different(found, names, where)
    if "test" not in found:
        found["test"], found["train"] = found["train"].divided(test or 0.0)
    if "validation" not in found:
        found["validation"], found["train"] = found["train"].divided(validation)
    train, validation_split, test_split = (found[part].split for part in PARTS)
    return Dataset(
        train,
        validation_split,
        test_split,
        names,
        duplicates=_duplicates(found, left_out),
        notices=(*_notices_of_values(images), *notices_of_names(names), *conflicts),
    )


@dataclass(frozen=True, eq=False)
class _Part:
    """Images with what they are compared by.

    Args:
        images: (n, height, width, channels).
        labels: (n,).
        pictures: (n,) hash of all pixels.
        looks: (n,) difference hash.
        names: (n,) of each image, by the array it came in.
    """

    images: np.ndarray
    labels: np.ndarray
    pictures: np.ndarray
    looks: np.ndarray
    names: np.ndarray

    @classmethod
    def of(cls, part: str, images: np.ndarray, labels: np.ndarray) -> "_Part":
        return cls(images, labels, *hash_images(images), np.array([f"{part}[{k}]" for k in range(len(labels))]))

    @property
    def split(self) -> Split:
        return Split(self.images, self.labels, self.pictures)

    def rows(self, rows: Any) -> "_Part":
        return _Part(*(getattr(self, field.name)[rows] for field in fields(self)))

    def without(self, rows: np.ndarray) -> "_Part":
        return self.rows(np.delete(np.arange(len(self.labels)), rows)) if len(rows) else self

    def divided(self, share: float) -> "tuple[_Part, _Part]":
        """A share of the images, and the rest: two neighbours in one array."""
        head, rest = split_off(self.labels, shuffled_ranks(len(self.labels)), share, self.pictures)
        ordered = self.rows(np.concatenate([head, rest]))
        return ordered.rows(slice(len(head))), ordered.rows(slice(len(head), None))


def _check_different(parts: Mapping[str, _Part], names: Sequence[str], where: str) -> None:
    """A class may have lost its images to another part, or have too few that differ."""
    labels = {part: found.labels for part, found in parts.items()}
    if len(parts) < len(PARTS):
        labels["train"] = different(labels["train"], parts["train"].pictures)
    _check_counts(labels, names, f"{where} (without the images that equal others)")


def _duplicates(
    parts: Mapping[str, _Part], left_out: Mapping[tuple[str, str], Sequence[tuple[str, str]]]
) -> Duplicates:
    images = {part: found.images for part, found in parts.items()}
    looks = {part: found.looks for part, found in parts.items()}
    return summarize_overlap(images, looks, lambda part, row: str(parts[part].names[row]), left_out)


def _notices_of_values(images: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Report images that are almost black, which were often divided twice or have a range of their own."""
    high = max(int(array.max()) for array in images.values())
    if not 0 < high < _DARK:
        return ()
    return (
        f"No pixel is brighter than {high} of 255, so the images are almost black. If {high} is white, divide every "
        "split by the largest value that a pixel can have.",
    )


def _check_lengths(images: np.ndarray, labels: np.ndarray, where: str) -> None:
    if len(images) != len(labels):
        raise DataError(f"{where}: {len(images)} images but {len(labels)} labels; each image needs one label.")


def _check_counts(labels: Mapping[str, np.ndarray], classes: Sequence[str], where: str) -> None:
    missing = [part for part in ("validation", "test") if part not in labels]
    for part, array in labels.items():
        counts = np.bincount(array, minlength=len(classes)).tolist()
        check_enough(counts, classes, missing if part == "train" else None, f"{where}: {part}")
