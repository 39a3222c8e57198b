"""Build a data set from arrays: check them, convert them to uint8 pixels and class numbers, and split off the rest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from spaces.errors import DataError
from studies.data.array_images import to_uint8
from studies.data.array_labels import encode_labels
from studies.data.class_checks import case_notices
from studies.data.dataset import Dataset, Split
from studies.data.duplicates import find_duplicates, hash_images, summarize_overlap
from studies.data.label_conflicts import conflict_notices
from studies.data.stratify import check_enough, deduplicate_labels, shuffled_ranks, split_off

SPLITS = ("train", "validation", "test")

_DARK = 32
"""Images without a brighter pixel than this of 255 are reported."""


def dataset_from_arrays(
    splits: Mapping[str, tuple[Any, Any]],
    where: str,
    *,
    classes: Sequence[str] | None = None,
    validation: float,
    test: float | None,
) -> Dataset:
    """Build the splits of images and labels in arrays.

    Args:
        splits: Images and labels of `train` and optionally of `validation` and `test`. Images are (n, height, width) or
            (n, height, width, channels), 0 to 255 (or 0 to 1 for floats), in one range for all splits; labels are (n,)
            or (n, 1) integers or texts.
        where: Origin of the arrays, for messages.
        classes: Names of the classes that integer labels index; None to use the labels themselves.
        validation: Fraction of the training images that is split off if there is no `validation`.
        test: Fraction of all images that is held out if there is no `test`.

    Raises:
        DataError: An array has a wrong type, shape or value, or a class has too few images.
    """
    images = to_uint8({name: pair[0] for name, pair in splits.items()}, where)
    names, labels = encode_labels({name: pair[1] for name, pair in splits.items()}, classes, where)
    for name in splits:
        if len(images[name]) != len(labels[name]):
            counts = f"{len(images[name])} images but {len(labels[name])} labels"
            raise DataError(f"{where}: {name}: {counts}; each image needs one label")
    _check_counts(labels, names, where)
    found = {name: _HashedSplit.from_arrays(name, images[name], labels[name]) for name in splits}
    hashes, numbers, of_images = (
        np.concatenate([getattr(split, field) for split in found.values()])
        for field in ("exact_hashes", "labels", "names")
    )
    conflicts = conflict_notices(hashes, numbers, lambda row: str(of_images[row]), names)
    duplicates = find_duplicates({name: split.exact_hashes for name, split in found.items()})
    left_out = {(a, b): [(f"{a}[{i}]", f"{b}[{j}]") for i, j in pairs.tolist()] for (a, b), pairs in duplicates.items()}
    for (name, _), pairs in duplicates.items():
        found[name] = found[name].without(pairs[:, 0])
    _check_without_duplicates(found, names, where)
    if "test" not in found:
        found["test"], found["train"] = found["train"].divide(test or 0.0)
    if "validation" not in found:
        found["validation"], found["train"] = found["train"].divide(validation)
    overlap = summarize_overlap(
        {name: split.images for name, split in found.items()},
        {name: split.perceptual_hashes for name, split in found.items()},
        lambda name, row: str(found[name].names[row]),
        left_out,
    )
    notices = (*_dark_notices(images), *case_notices(names), *conflicts)
    train, validation_split, test_split = (found[name].split for name in SPLITS)
    return Dataset(
        train,
        validation_split,
        test_split,
        names,
        duplicates=overlap,
        notices=notices,
        has_own_validation="validation" in splits,
    )


@dataclass(frozen=True, eq=False)
class _HashedSplit:
    """Images with their labels, hashes and names.

    Args:
        images: (n, height, width, channels) uint8.
        labels: (n,) int64.
        exact_hashes: (n,) hash of all pixels.
        perceptual_hashes: (n,) difference hash.
        names: (n,) name of each image, from its array and index.
    """

    images: np.ndarray
    labels: np.ndarray
    exact_hashes: np.ndarray
    perceptual_hashes: np.ndarray
    names: np.ndarray

    @classmethod
    def from_arrays(cls, name: str, images: np.ndarray, labels: np.ndarray) -> "_HashedSplit":
        return cls(images, labels, *hash_images(images), np.array([f"{name}[{k}]" for k in range(len(labels))]))

    @property
    def split(self) -> Split:
        return Split(self.images, self.labels, self.exact_hashes)

    def select(self, rows: Any) -> "_HashedSplit":
        return _HashedSplit(*(getattr(self, field.name)[rows] for field in fields(self)))

    def without(self, rows: np.ndarray) -> "_HashedSplit":
        return self.select(np.delete(np.arange(len(self.labels)), rows)) if len(rows) else self

    def divide(self, fraction: float) -> "tuple[_HashedSplit, _HashedSplit]":
        """Return a fraction of the images, and the rest: two neighbours in one array."""
        head, rest = split_off(self.labels, shuffled_ranks(len(self.labels)), fraction, self.exact_hashes)
        ordered = self.select(np.concatenate([head, rest]))
        return ordered.select(slice(len(head))), ordered.select(slice(len(head), None))


def _check_without_duplicates(splits: Mapping[str, _HashedSplit], names: Sequence[str], where: str) -> None:
    """Raise `DataError` if a class has lost its images as duplicates, or has too few different ones to split."""
    labels = {name: split.labels for name, split in splits.items()}
    if len(splits) < len(SPLITS):
        labels["train"] = deduplicate_labels(labels["train"], splits["train"].exact_hashes)
    _check_counts(labels, names, f"{where} (without duplicates)")


def _dark_notices(images: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Report almost black images, which were often divided twice or have a range of their own."""
    high = max(int(array.max()) for array in images.values())
    if not 0 < high < _DARK:
        return ()
    return (
        f"no pixel is brighter than {high} of 255, so the images are almost black; if {high} is white, divide every "
        "split by the largest possible pixel value",
    )


def _check_counts(labels: Mapping[str, np.ndarray], classes: Sequence[str], where: str) -> None:
    missing = [name for name in ("validation", "test") if name not in labels]
    for name, array in labels.items():
        counts = np.bincount(array, minlength=len(classes)).tolist()
        check_enough(counts, classes, missing if name == "train" else None, f"{where}: {name}")
