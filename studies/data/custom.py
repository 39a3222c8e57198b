"""Load images and labels from a user's own function."""

import inspect
import traceback
from typing import Any

from spaces.data import CustomData
from spaces.errors import DataError, SearchError
from studies.data.arrays import SPLITS, dataset_from_arrays
from studies.data.dataset import Dataset


def load_custom(data: CustomData) -> Dataset:
    """Load the splits that a function returns.

    Raises:
        DataError: The function fails, or returns something else.
    """
    where = f"{data.load.__name__}()"
    returned = _call(data, where)
    classes = returned.get("classes")
    splits = {name: returned[name] for name in SPLITS if name in returned}
    return dataset_from_arrays(splits, where, classes=classes, validation=data.validation, test=data.test)


def _call(data: CustomData, where: str) -> dict[str, Any]:
    try:
        returned = data.load()
    except SearchError:
        raise
    except Exception as error:
        raise DataError(f"{where} failed: {type(error).__name__}: {error}{_user_line(data, error)}") from error
    _check_returned(returned, where)
    return returned


def _user_line(data: CustomData, error: Exception) -> str:
    """Return the user's failing line: the last one in the file of the function."""
    try:
        file = inspect.getfile(inspect.unwrap(data.load))
    except TypeError:
        file = ""
    frames = traceback.extract_tb(error.__traceback__)[1:]
    frame = next((frame for frame in reversed(frames) if frame.filename == file), frames[-1] if frames else None)
    return "" if frame is None else f"\n  {frame.filename}, line {frame.lineno}: {frame.line}"


def _check_returned(returned: Any, where: str) -> None:
    got = ""
    if not isinstance(returned, dict):
        got = type(returned).__name__
    elif "train" not in returned or any(key not in (*SPLITS, "classes") for key in returned):
        got = f"the keys {', '.join(map(repr, returned))}"
    if got:
        raise DataError(
            f"{where} must return a dict with 'train' and optionally 'validation', 'test' and 'classes', got {got}"
        )
    for name in SPLITS:
        pair = returned.get(name, ((), ()))
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise DataError(f"{where}: {name!r} must be a pair (images, labels), got {type(pair).__name__}")
