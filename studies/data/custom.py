"""Images and labels from a user's own function."""

import inspect
import traceback
from typing import Any

from spaces.data import CustomData
from spaces.errors import DataError, SearchError
from studies.data.arrays import PARTS, dataset_of
from studies.data.dataset import Dataset


def load_custom(data: CustomData) -> Dataset:
    """The splits that a function returns.

    Raises:
        DataError: The function fails, or returns something else.
    """
    where = f"{data.load.__name__}()"
    returned = _called(data, where)
    classes = returned.get("classes")
    parts = {part: returned[part] for part in PARTS if part in returned}
    return dataset_of(parts, where, classes=classes, validation=data.validation, test=data.test)


def _called(data: CustomData, where: str) -> dict[str, Any]:
    try:
        returned = data.load()
    except SearchError:
        raise
    except Exception as error:
        raise DataError(f"{where} failed: {type(error).__name__}: {error}{_place(data, error)}") from error
    _check_returned(returned, where)
    return returned


def _place(data: CustomData, error: Exception) -> str:
    """The user's line: the last one in the file of the function."""
    try:
        file = inspect.getfile(inspect.unwrap(data.load))
    except TypeError:
        file = ""
    frames = traceback.extract_tb(error.__traceback__)[1:]
    frame = next((frame for frame in reversed(frames) if frame.filename == file), frames[-1] if frames else None)
    return "" if frame is None else f"\n  {frame.filename}, line {frame.lineno}: {frame.line}"


def _check_returned(returned: Any, where: str) -> None:
    if not isinstance(returned, dict):
        raise DataError(
            f"{where} must return a dict with 'train' and, where there are any, 'validation', 'test' and 'classes', "
            f"got {type(returned).__name__}."
        )
    unknown = [key for key in returned if key not in (*PARTS, "classes")]
    if unknown or "train" not in returned:
        raise DataError(
            f"{where} must return a dict with 'train' and, where there are any, 'validation', 'test' and 'classes', "
            f"got the keys {', '.join(map(repr, returned))}."
        )
    for part in PARTS:
        pair = returned.get(part, ((), ()))
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise DataError(f"{where}: {part!r} must be a pair (images, labels), got {type(pair).__name__}.")
