"""Data that comes as arrays: checked, brought to uint8 pixels and numbered labels, and split where it is not yet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from spaces.errors import DataError
from studies.data.duplicates import Duplicates, equals, prints, summed_up
from studies.data.splits import Dataset, Split
from studies.data.splitting import check_enough, different, shuffled_ranks, split_off

PARTS = ("train", "validation", "test")


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
            (n, height, width) or (n, height, width, channels), 0 to 255 (or 0 to 1 when they are floats); labels are
            (n,) or (n, 1) whole numbers or texts.
        where: Where the arrays come from, for messages.
        classes: Names of the classes; whole-number labels are positions in it. None takes the labels themselves.
        validation: Share of the training images that is split off when there is no `validation`.
        test: Share of all images that is kept aside when there is no `test`.

    Raises:
        DataError: An array has a wrong type, shape or value, or a class has too few images.
    """
    arrays = {part: _image_array(pair[0], f"{where}: images of {part}") for part, pair in parts.items()}
    texts = {part: _label_array(pair[1], f"{where}: labels of {part}") for part, pair in parts.items()}
    images = _all_pixels(arrays, where)
    for part in parts:
        _check_lengths(images[part], texts[part], f"{where}: {part}")
    names, labels = _numbered(texts, classes, where)
    _check_counts(labels, names, where)
    found = {part: _Part.of(part, images[part], labels[part]) for part in parts}
    doubles = equals({part: part_found.pictures for part, part_found in found.items()})
    left_out = {(a, b): [(f"{a}[{i}]", f"{b}[{j}]") for i, j in pairs.tolist()] for (a, b), pairs in doubles.items()}
    for (part, _), pairs in doubles.items():
        found[part] = found[part].without(pairs[:, 0])
    _check_different(found, names, where)
    if "test" not in found:
        found["test"], found["train"] = found["train"].divided(test or 0.0)
    if "validation" not in found:
        found["validation"], found["train"] = found["train"].divided(validation)
    train, validation_split, test_split = (found[part].split for part in PARTS)
    return Dataset(train, validation_split, test_split, names, duplicates=_duplicates(found, left_out))


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
        return cls(images, labels, *prints(images), np.array([f"{part}[{k}]" for k in range(len(labels))]))

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
    return summed_up(images, looks, lambda part, row: str(parts[part].names[row]), left_out)


def _image_array(images: Any, where: str) -> np.ndarray:
    try:
        found: np.ndarray = np.asanyarray(images)
    except (ValueError, TypeError) as error:
        raise DataError(f"{where}: not an array: {error}.") from error
    if found.dtype.kind not in "buif":
        raise DataError(f"{where}: must be numbers, got {_kind(found)}. Images of one shape make one array.")
    if found.ndim == 3:
        found = found[..., np.newaxis]
    if found.ndim != 4 or found.shape[3] not in (1, 3) or 0 in found.shape:
        hint = " Move the channels to the end: np.moveaxis(x, 1, -1)." if _channels_first(found) else ""
        raise DataError(
            f"{where}: must have the shape (n, height, width) or (n, height, width, 1 or 3), "
            f"got {np.shape(images)}.{hint}"
        )
    return found


def _all_pixels(images: Mapping[str, np.ndarray], where: str) -> dict[str, np.ndarray]:
    """Every part as uint8, by one scale."""
    shapes = {part: array.shape[1:] for part, array in images.items()}
    if len(set(shapes.values())) > 1:
        raise DataError(f"{where}: the images of all parts must have one shape, got {shapes}.")
    ranges = [_range(array, f"{where}: images of {part}") for part, array in images.items()]
    is_unit = all(array.dtype.kind in "fb" for array in images.values()) and max(high for _, high in ranges) <= 1
    return {part: _pixels(array, 255 if is_unit else 1) for part, array in images.items()}


def _range(images: np.ndarray, where: str) -> tuple[float, float]:
    if images.dtype == np.uint8:
        return 0.0, 255.0
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 255):
        raise DataError(
            f"{where}: values must be from 0 to 255, or from 0 to 1 when they are floats, got {low:g} to {high:g}."
        )
    return low, high


def _pixels(images: np.ndarray, scale: int) -> np.ndarray:
    if images.dtype == np.uint8:
        return images
    return np.rint(images * np.float32(scale)).astype(np.uint8)


def _label_array(labels: Any, where: str) -> np.ndarray:
    try:
        found = np.asarray(labels)
    except (ValueError, TypeError) as error:
        raise DataError(f"{where}: not an array: {error}.") from error
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim != 1:
        hint = " One-hot labels become numbers by np.argmax(y, axis=1)." if found.ndim == 2 else ""
        raise DataError(f"{where}: must have the shape (n,), got {found.shape}.{hint}")
    if found.dtype.kind == "S":
        found = np.char.decode(found, "utf-8", "replace")
    if found.dtype.kind not in "buiU":
        raise DataError(f"{where}: must be whole numbers or texts, got {_kind(found)}.")
    return found.astype(np.int64) if found.dtype.kind in "bui" else found


def _check_lengths(images: np.ndarray, labels: np.ndarray, where: str) -> None:
    if len(images) != len(labels):
        raise DataError(f"{where}: {len(images)} images but {len(labels)} labels; each image needs one label.")


def _numbered(
    labels: Mapping[str, np.ndarray], classes: Sequence[str] | None, where: str
) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Names of the classes, and the labels as positions in them."""
    if len({array.dtype.kind for array in labels.values()}) > 1:
        raise DataError(f"{where}: the labels of all parts must be of one kind, whole numbers or texts.")
    is_text = labels["train"].dtype.kind == "U"
    names = _class_names(classes, where)
    named_values = np.unique(labels["train"]) if names is None else np.array(names)
    values = named_values if names is None or is_text else np.arange(len(named_values))
    numbers = {part: _positions(array, values, f"{where}: labels of {part}") for part, array in labels.items()}
    return names or tuple(str(value) for value in values), numbers


def _class_names(classes: Sequence[str] | None, where: str) -> tuple[str, ...] | None:
    if classes is None:
        return None
    names = tuple(str(name) for name in np.asarray(classes).tolist()) if np.ndim(classes) == 1 else ()
    if not names or len(set(names)) < len(names):
        raise DataError(f"{where}: classes must be a list of different names, got {classes!r}.")
    return names


def _positions(labels: np.ndarray, values: np.ndarray, where: str) -> np.ndarray:
    order = np.argsort(values)
    found = order[np.searchsorted(values, labels, sorter=order).clip(max=len(values) - 1)]
    unknown = np.unique(labels[values[found] != labels])
    if len(unknown):
        known = ", ".join(str(value) for value in values[:10]) + (", ..." if len(values) > 10 else "")
        first = ", ".join(str(value) for value in unknown[:5])
        raise DataError(f"{where}: {first} {'is' if len(unknown) == 1 else 'are'} not among the classes ({known}).")
    return np.asarray(found, np.int64)


def _check_counts(labels: Mapping[str, np.ndarray], classes: Sequence[str], where: str) -> None:
    missing = [part for part in ("validation", "test") if part not in labels]
    for part, array in labels.items():
        counts = np.bincount(array, minlength=len(classes)).tolist()
        check_enough(counts, classes, missing if part == "train" else None, f"{where}: {part}")


def _channels_first(images: np.ndarray) -> bool:
    return images.ndim == 4 and images.shape[1] in (1, 3)


def _kind(array: np.ndarray) -> str:
    return "Python objects" if array.dtype.kind == "O" else f"an array of {array.dtype}"
