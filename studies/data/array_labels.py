"""Encode arrays of labels, integers or texts, as class numbers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spaces.errors import DataError
from studies.data.class_checks import check_class_names

_ONE_CLASS = "`search` trains classifiers with one class per image"
_AS_TEXTS = "pass the labels as texts: y.astype(str)"
_LEAVE_OUT = "leave these images out"
_RENAME = 'rename the class, or clean the labels: unicodedata.normalize("NFC", " ".join(label.split()))'
_SCALARS: Mapping[str, Any] = {
    "text": str,
    "bytes": bytes,
    "bool": bool | np.bool_,
    "integer": int | np.integer,
    "float": float | np.floating,
}
"""Types by the names of their kinds; True is an `int`, too."""

_INTEGERS, _TEXTS = "integers", "texts"


def encode_labels(labels: Mapping[str, Any], classes: Any, where: str) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Return the names of the classes and the class numbers of every split.

    Args:
        labels: By split, (n,) or (n, 1) integers or texts; may be Python objects, as in pandas.
        classes: Names of the classes that integer labels index; None to use the training labels.

    Returns:
        The names, and by split (n,) int64.

    Raises:
        DataError: Labels are missing, of mixed types, several per image, or not among the classes.
    """
    arrays = {split: to_label_array(array, f"{where}: labels of {split}") for split, array in labels.items()}
    kinds = {split: _TEXTS if array.dtype.kind == "U" else _INTEGERS for split, array in arrays.items()}
    if len(set(kinds.values())) > 1:
        raise DataError(
            f"{where}: the labels of all splits must be of one type, integers or texts, "
            f"got {', '.join(f'{kind} in {split}' for split, kind in kinds.items())}"
        )
    names = _class_names(classes, where)
    named_values = np.unique(arrays["train"]) if names is None else np.array(names)
    check_class_names([str(value) for value in named_values.tolist()], where, _RENAME)
    is_numbered = names is not None and kinds["train"] == _INTEGERS
    values = np.arange(len(named_values)) if is_numbered else named_values
    found = {split: _class_positions(array, values, f"{where}: labels of {split}") for split, array in arrays.items()}
    if names is None:
        _check_negative(values, where)
    return names or tuple(str(value) for value in values), found


def to_label_array(labels: Any, where: str) -> np.ndarray:
    """Convert labels to (n,) int64 or texts. Raises `DataError`."""
    try:
        found = np.asarray(labels)
    except (ValueError, TypeError, RuntimeError) as error:
        reason = f"; {_ONE_CLASS}, not several labels" if _is_ragged(labels) else ""
        raise DataError(f"{where}: not an array: {error}{reason}") from error
    if np.ma.is_masked(labels):
        raise DataError(f"{where}: masked labels are missing labels\nhint: {_LEAVE_OUT}")
    if found.ndim == 0:
        raise DataError(f"{where}: must be an array or a list, got {type(labels).__name__}")
    if found.ndim == 1 and found.dtype.kind in "US" and _are_scalars(labels):
        # NumPy converts numbers and NaN to texts if a list contains a text.
        found = _to_objects(labels)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim != 1:
        raise DataError(f"{where}: must have the shape (n,), got {found.shape}{_shape_hint(found)}")
    return _to_integers(found, where) if found.dtype.kind in "bui" else _from_texts(found, where)


def _are_scalars(labels: Any) -> bool:
    return isinstance(labels, list | tuple) and all(_kind(label) in _SCALARS or label is None for label in labels)


def _to_objects(values: Sequence[Any]) -> np.ndarray:
    found = np.empty(len(values), object)
    found[:] = values
    return found


def _is_ragged(labels: Any) -> bool:
    return isinstance(labels, list | tuple) and any(isinstance(each, list | tuple | np.ndarray) for each in labels)


def _shape_hint(labels: np.ndarray) -> str:
    """Return what a second axis means: one-hot labels, several labels per image, or probabilities."""
    if labels.ndim != 2 or labels.dtype.kind not in "buif":
        return f"; {_ONE_CLASS}" if labels.ndim == 2 else ""
    if not np.isin(labels, (0, 1)).all():
        return f"; {_ONE_CLASS}, not a value for each class\nhint: np.argmax(y, axis=1) keeps only the largest"
    counts = labels.astype(np.int64).sum(axis=1)
    if (counts == 1).all():
        return "\nhint: convert one-hot labels to integers: np.argmax(y, axis=1)"
    several, none = int((counts > 1).sum()), int((counts == 0).sum())
    return (
        f": {several:,} of {len(labels):,} images have several labels and {none:,} have none; {_ONE_CLASS}\n"
        f"hint: {_LEAVE_OUT}, or search for one label at a time: y[:, 0]"
    )


def _to_integers(labels: np.ndarray, where: str) -> np.ndarray:
    if labels.dtype.kind == "u" and len(labels) and labels.max() > np.iinfo(np.int64).max:
        raise DataError(f"{where}: {labels.max()} is too large for a label\nhint: {_AS_TEXTS}")
    return labels.astype(np.int64)


def _from_texts(labels: np.ndarray, where: str) -> np.ndarray:
    if labels.dtype.kind == "f":
        raise DataError(f"{where}: must be integers or texts, got an array of {labels.dtype}{_float_hint(labels)}")
    if labels.dtype.kind not in "OSUT":
        raise DataError(f"{where}: must be integers or texts, got an array of {labels.dtype}")
    values = labels.tolist()
    missing = [index for index, value in enumerate(values) if _is_missing(value)]
    if missing:
        raise DataError(
            f"{where}: {len(missing):,} of {len(values):,} labels are missing (None, NaN or empty), first for "
            f"image {missing[0]}\nhint: {_LEAVE_OUT}"
        )
    kinds = {_kind(value) for value in values}
    if kinds == {"integer"} or kinds == {"bool"}:
        return _integers_from_objects(values, where)
    if kinds <= {"text", "bytes"}:
        return np.array([_decode(value, where) if isinstance(value, bytes) else str(value) for value in values], str)
    raise DataError(f"{where}: must be integers or texts, got {_describe_kinds(values)}{_kind_hint(kinds, values)}")


def _integers_from_objects(values: Sequence[Any], where: str) -> np.ndarray:
    try:
        return np.array([int(value) for value in values], np.int64)
    except OverflowError as error:
        raise DataError(f"{where}: an integer is too large for a label\nhint: {_AS_TEXTS}") from error


def _decode(label: bytes, where: str) -> str:
    try:
        return label.decode("utf-8")
    except UnicodeDecodeError as error:
        hint = "decode the labels: [x.decode('latin-1') for x in y]"
        raise DataError(f"{where}: {label!r} is not UTF-8 text\nhint: {hint}") from error


def _is_missing(value: Any) -> bool:
    # pandas.NA and NaT do not support comparison, so they are recognized by their type.
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, str | bytes):
        return not value.strip()
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def _kind(value: Any) -> str:
    return next((kind for kind, types in _SCALARS.items() if isinstance(value, types)), type(value).__name__)


def _describe_kinds(values: Sequence[Any]) -> str:
    """Return counts and examples of each type: `58 x text ('cat') and 2 x integer (7)`."""
    counts = Counter(_kind(value) for value in values)
    first = {kind: next(value for value in values if _kind(value) == kind) for kind in counts}
    return " and ".join(f"{count:,} x {kind} ({str(first[kind])[:40]!r})" for kind, count in counts.most_common())


def _kind_hint(kinds: set[str], values: Sequence[Any]) -> str:
    if kinds <= {"list", "tuple", "set", "ndarray", "dict"}:
        return f"; {_ONE_CLASS}, not several labels"
    if kinds == {"float"}:
        return _float_hint(np.array([float(value) for value in values]))
    if kinds <= _SCALARS.keys():
        return "\nhint: convert all to one type: [str(label) for label in y]"
    return ""


def _float_hint(labels: np.ndarray) -> str:
    if missing := int(np.isnan(labels).sum()):
        return f"; {missing:,} of {len(labels):,} are NaN, which marks missing labels\nhint: {_LEAVE_OUT}"
    if np.isfinite(labels).all() and (labels == np.rint(labels)).all():
        return "\nhint: if these whole numbers are classes, pass y.astype(int)"
    return "; values with fractions are a regression, which `search` does not train"


def _class_names(classes: Any, where: str) -> tuple[str, ...] | None:
    if classes is None:
        return None
    listed = classes.tolist() if isinstance(classes, np.ndarray) else classes
    values = list(listed) if isinstance(listed, list | tuple) else []
    if not all(_kind(value) in ("text", "bytes", "integer") and not _is_missing(value) for value in values):
        raise DataError(f"{where}: the names in classes must be texts, got {_describe_kinds(values)}")
    names = tuple(_decode(name, where) if isinstance(name, bytes) else str(name) for name in values)
    if not names or len(set(names)) < len(names):
        raise DataError(f"{where}: classes must be a list of different names, got {classes!r}")
    return names


def _check_negative(values: np.ndarray, where: str) -> None:
    if values.dtype.kind != "U" and len(values) and values.min() < 0 and values.tolist() != [-1, 1]:
        raise DataError(
            f"{where}: {values.min()} is not a class number and often marks images without a label\n"
            f"hint: {_LEAVE_OUT}, or {_AS_TEXTS}"
        )


def _class_positions(labels: np.ndarray, values: np.ndarray, where: str) -> np.ndarray:
    order = np.argsort(values)
    found = order[np.searchsorted(values, labels, sorter=order).clip(max=len(values) - 1)]
    unknown = np.unique(labels[values[found] != labels])
    if len(unknown):
        known = ", ".join(str(value) for value in values[:10]) + (", ..." if len(values) > 10 else "")
        first = ", ".join(str(value) for value in unknown[:5])
        raise DataError(f"{where}: {first} {'is' if len(unknown) == 1 else 'are'} not among the classes ({known})")
    return np.asarray(found, np.int64)
