"""Arrays of labels as positions in the classes: one label for each image, an integer or a text."""

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spaces.errors import DataError
from studies.data.class_checks import unshowable

_ONE_CLASS = "`search` trains classifiers with one class for each image"
_AS_TEXTS = "Pass the labels as texts: y.astype(str)."
_SCALARS = ("text", "bytes", "bool", "integer", "float")
_INTEGERS, _TEXTS = "integers", "texts"


def class_numbers(labels: Mapping[str, Any], classes: Any, where: str) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Names of the classes, and the labels of every split as positions in them.

    Args:
        labels: By split, (n,) or (n, 1) integers or texts, also as Python objects, as pandas holds them.
        classes: Names of the classes, in whose order integer labels count; None takes the training labels.
        where: Where the arrays come from, for messages.

    Returns:
        The names, and by split (n,) int64.

    Raises:
        DataError: Labels are missing, of several kinds or several for one image, or are not among the classes.
    """
    arrays = {split: label_array(array, f"{where}: labels of {split}") for split, array in labels.items()}
    kinds = {split: _TEXTS if array.dtype.kind == "U" else _INTEGERS for split, array in arrays.items()}
    if len(set(kinds.values())) > 1:
        raise DataError(
            f"{where}: the labels of all splits must be of one kind, integers or texts, "
            f"got {', '.join(f'{kind} in {split}' for split, kind in kinds.items())}."
        )
    names = _class_names(classes, where)
    named_values = np.unique(arrays["train"]) if names is None else np.array(names)
    _check_names([str(value) for value in named_values.tolist()], where)
    is_numbered = names is not None and kinds["train"] == _INTEGERS
    values = np.arange(len(named_values)) if is_numbered else named_values
    found = {split: _positions(array, values, f"{where}: labels of {split}") for split, array in arrays.items()}
    if names is None:
        _check_negative(values, where)
    return names or tuple(str(value) for value in values), found


def label_array(labels: Any, where: str) -> np.ndarray:
    """Labels as (n,) int64 or texts. Raises `DataError`."""
    try:
        found = np.asarray(labels)
    except (ValueError, TypeError, RuntimeError) as error:
        hint = f" {_ONE_CLASS}, not several labels." if _is_ragged(labels) else ""
        raise DataError(f"{where}: not an array: {error}.{hint}") from error
    if np.ma.is_masked(labels):
        raise DataError(f"{where}: masked labels are missing labels. Leave these images out.")
    if found.ndim == 0:
        raise DataError(f"{where}: must be an array or a list, got {type(labels).__name__}.")
    if found.ndim == 1 and found.dtype.kind in "US" and _are_scalars(labels):
        # NumPy makes texts of numbers and of NaN that are listed with a text.
        found = _objects(labels)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim != 1:
        raise DataError(f"{where}: must have the shape (n,), got {found.shape}.{_shape_hint(found)}")
    return _integers(found, where) if found.dtype.kind in "bui" else _texts(found, where)


def _are_scalars(labels: Any) -> bool:
    return isinstance(labels, list | tuple) and all(_kind(label) in _SCALARS or label is None for label in labels)


def _objects(values: Sequence[Any]) -> np.ndarray:
    found = np.empty(len(values), object)
    found[:] = values
    return found


def _is_ragged(labels: Any) -> bool:
    return isinstance(labels, list | tuple) and any(isinstance(each, list | tuple | np.ndarray) for each in labels)


def _shape_hint(labels: np.ndarray) -> str:
    """What a second axis means: one-hot labels, several labels for an image, or probabilities."""
    if labels.ndim != 2 or labels.dtype.kind not in "buif":
        return f" {_ONE_CLASS}." if labels.ndim == 2 else ""
    if not np.isin(labels, (0, 1)).all():
        return f" {_ONE_CLASS}, not a value for each class: np.argmax(y, axis=1) keeps the largest and loses the rest."
    counts = labels.astype(np.int64).sum(axis=1)
    if (counts == 1).all():
        return " One-hot labels become integers by np.argmax(y, axis=1)."
    several, none = int((counts > 1).sum()), int((counts == 0).sum())
    return (
        f" These are multi-label arrays: of {len(labels):,} images {several:,} have several labels and {none:,} have "
        f"none. {_ONE_CLASS}, so leave these images out, or search for one label at a time: y[:, 0]."
    )


def _integers(labels: np.ndarray, where: str) -> np.ndarray:
    if labels.dtype.kind == "u" and len(labels) and labels.max() > np.iinfo(np.int64).max:
        raise DataError(f"{where}: {labels.max()} is too large for a label. {_AS_TEXTS}")
    return labels.astype(np.int64)


def _texts(labels: np.ndarray, where: str) -> np.ndarray:
    if labels.dtype.kind == "f":
        raise DataError(f"{where}: must be integers or texts, got an array of {labels.dtype}.{_float_hint(labels)}")
    if labels.dtype.kind not in "OSUT":
        raise DataError(f"{where}: must be integers or texts, got an array of {labels.dtype}.")
    values = labels.tolist()
    missing = [index for index, value in enumerate(values) if _is_missing(value)]
    if missing:
        raise DataError(
            f"{where}: {len(missing):,} of {len(values):,} labels are missing (None, NaN or empty), first that of "
            f"image {missing[0]}. Leave these images out."
        )
    kinds = {_kind(value) for value in values}
    if kinds == {"integer"} or kinds == {"bool"}:
        return _integers_of(values, where)
    if kinds <= {"text", "bytes"}:
        return np.array([_decoded(value, where) if isinstance(value, bytes) else str(value) for value in values], str)
    raise DataError(f"{where}: must be integers or texts, got {_told_kinds(values)}.{_kind_hint(kinds, values)}")


def _integers_of(values: Sequence[Any], where: str) -> np.ndarray:
    try:
        return np.array([int(value) for value in values], np.int64)
    except OverflowError as error:
        raise DataError(f"{where}: an integer is too large for a label. {_AS_TEXTS}") from error


def _decoded(label: bytes, where: str) -> str:
    try:
        return label.decode("utf-8")
    except UnicodeDecodeError as error:
        hint = "Decode the labels: [x.decode('latin-1') for x in y]."
        raise DataError(f"{where}: {label!r} is not UTF-8 text. {hint}") from error


def _is_missing(value: Any) -> bool:
    # pandas.NA and NaT answer to no comparison, so they are recognised by their type.
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, str | bytes):
        return not value.strip()
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "text"
    if isinstance(value, bytes):
        return "bytes"
    if isinstance(value, bool | np.bool_):
        return "bool"
    if isinstance(value, int | np.integer):
        return "integer"
    if isinstance(value, float | np.floating):
        return "float"
    return f"{type(value).__name__}"


def _told_kinds(values: Sequence[Any]) -> str:
    """`58 x text ('cat') and 2 x integer (7)`."""
    counts = Counter(_kind(value) for value in values)
    first = {kind: next(value for value in values if _kind(value) == kind) for kind in counts}
    return " and ".join(f"{count:,} x {kind} ({str(first[kind])[:40]!r})" for kind, count in counts.most_common())


def _kind_hint(kinds: set[str], values: Sequence[Any]) -> str:
    if kinds <= {"list", "tuple", "set", "ndarray", "dict"}:
        return f" {_ONE_CLASS}, not several labels."
    if kinds == {"float"}:
        return _float_hint(np.array([float(value) for value in values]))
    if kinds <= {*_SCALARS}:
        return " Make all of one kind: [str(label) for label in y]."
    return ""


def _float_hint(labels: np.ndarray) -> str:
    if missing := int(np.isnan(labels).sum()):
        return f" {missing:,} of {len(labels):,} are NaN, which marks missing labels: leave these images out."
    if np.isfinite(labels).all() and (labels == np.rint(labels)).all():
        return " They are whole numbers, so if they number classes, pass y.astype(int)."
    return " Values with fractions are a regression, which `search` does not train."


def _class_names(classes: Any, where: str) -> tuple[str, ...] | None:
    if classes is None:
        return None
    listed = classes.tolist() if isinstance(classes, np.ndarray) else classes
    values = list(listed) if isinstance(listed, list | tuple) else []
    if not all(_kind(value) in ("text", "bytes", "integer") and not _is_missing(value) for value in values):
        raise DataError(f"{where}: the names in classes must be texts, got {_told_kinds(values)}.")
    names = tuple(_decoded(name, where) if isinstance(name, bytes) else str(name) for name in values)
    if not names or len(set(names)) < len(names):
        raise DataError(f"{where}: classes must be a list of different names, got {classes!r}.")
    return names


def _check_names(names: Sequence[str], where: str) -> None:
    """Refuse classes that cannot be shown or stored, and those that a reader cannot tell apart."""
    first: dict[str, str] = {}
    for name in names:
        if what := unshowable(name):
            raise DataError(f"{where}: the name of the class {name!r} {what}. Rename it in the labels.")
        look = unicodedata.normalize("NFC", " ".join(name.split()))
        if (other := first.setdefault(look, name)) != name:
            differ = "in spaces. Remove them: [label.strip() for label in y]"
            if " ".join(other.split()) != " ".join(name.split()):
                differ = 'in how letters are coded. Make them one: unicodedata.normalize("NFC", label)'
            raise DataError(f"{where}: the classes {other!a} and {name!a} differ only {differ}.")


def _check_negative(values: np.ndarray, where: str) -> None:
    if values.dtype.kind != "U" and len(values) and values.min() < 0 and values.tolist() != [-1, 1]:
        raise DataError(
            f"{where}: {values.min()} is no class number, and often marks images without a label. Leave these images "
            "out, or pass the labels as texts: y.astype(str)."
        )


def _positions(labels: np.ndarray, values: np.ndarray, where: str) -> np.ndarray:
    order = np.argsort(values)
    found = order[np.searchsorted(values, labels, sorter=order).clip(max=len(values) - 1)]
    unknown = np.unique(labels[values[found] != labels])
    if len(unknown):
        known = ", ".join(str(value) for value in values[:10]) + (", ..." if len(values) > 10 else "")
        first = ", ".join(str(value) for value in unknown[:5])
        raise DataError(f"{where}: {first} {'is' if len(unknown) == 1 else 'are'} not among the classes ({known}).")
    return np.asarray(found, np.int64)
