"""Plain values as text that is the same in every process and on every machine."""

import argparse
import ast
import collections
import datetime
import decimal
import enum
import fractions
import hashlib
import logging
import re
import threading
import types
import uuid
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any

PLAIN = (int, float, complex, type(None), type(...), slice, range)
EXACT = (decimal.Decimal, fractions.Fraction, datetime.date, datetime.time, datetime.timedelta, uuid.UUID)
KEPT_BY_NAME = (types.BuiltinFunctionType, types.MethodWrapperType, logging.Logger, type(threading.Lock()))
"""Values that are represented by their name alone, because they cannot change a network."""


def short_hash(text: str) -> str:
    """Return sixteen hexadecimal digits for a text."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]


def literal(value: Any) -> str | None:
    """Return a value without parts as text, or None for any other value.

    An absolute path is represented by its last part, because it differs between machines.
    """
    if isinstance(value, enum.Enum):
        return f"{type(value).__qualname__}.{value.name}"
    if isinstance(value, str):
        return repr(Path(value).name if _is_path_here(value) else str(value))
    if isinstance(value, PurePath):
        return f"Path({value.name if value.is_absolute() else value.as_posix()})"
    if isinstance(value, bytes | bytearray):
        return f"bytes({hashlib.sha256(value).hexdigest()})"
    if isinstance(value, EXACT) or type(value) in PLAIN or isinstance(value, bool):
        return repr(value)
    if isinstance(value, re.Pattern):
        return f"pattern({value.pattern!r}, {value.flags})"
    if type(value).__module__.split(".")[0] == "numpy":
        return _of_numpy(value)
    return None


def elements(value: Any) -> Iterable[tuple[Any, Any]] | None:
    """Return the parts of a container, each with its key or index, or None for any other value."""
    if isinstance(value, list | tuple | collections.deque):
        return list(enumerate(value))
    if isinstance(value, set | frozenset):
        return [(None, item) for item in value]
    if isinstance(value, collections.abc.Mapping):
        return list(value.items())
    if isinstance(value, types.SimpleNamespace | argparse.Namespace):
        return list(vars(value).items())
    return None


def is_number(text: str) -> bool:
    """Return True if a text is a number, True, False or None, which is never secret."""
    try:
        return len(text) <= 30 and isinstance(ast.literal_eval(text), int | float | complex | None)
    except (ValueError, SyntaxError):
        return False


def _is_path_here(text: str) -> bool:
    try:
        return Path(text).is_absolute() and Path(text).exists()
    except (OSError, ValueError):
        return False


def _of_numpy(value: Any) -> str | None:
    if not all(hasattr(value, name) for name in ("dtype", "shape", "tobytes")):
        return value.__name__ if hasattr(value, "__name__") else None
    if value.dtype.hasobject:
        return f"{value.dtype} {value.shape} {[literal(item) for item in value.ravel().tolist()]}"
    data = value.astype(value.dtype.newbyteorder("<")).tobytes()
    return f"{value.dtype.newbyteorder('=').name} {value.shape} {hashlib.sha256(data).hexdigest()}"
