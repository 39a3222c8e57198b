"""Durations and sizes as text: `90m`, `4GB`."""

import math
import re
from typing import Any

from spaces.errors import SpaceError

_MOST_SECONDS = 100_000 * 86400
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZES = {
    "": 1,
    **{f"{unit}{i}": (1024 if i else 1000) ** power for power, unit in enumerate("kmgt", 1) for i in ("", "i")},
}


def seconds(duration: float | str) -> float:
    """Return the seconds in a duration such as `90`, `90s`, `30m` or `1h30m`.

    Raises:
        SpaceError: The text is not a duration above 0.
    """
    if isinstance(duration, int | float) and not isinstance(duration, bool):
        total = float(max(min(duration, _MOST_SECONDS + 1), -1))
    else:
        text = str(duration).strip().lower()
        # Possessive: a digit is never tried a second time, so that a long number is refused at once.
        if not re.fullmatch(r"(?:\d++(?:\.\d++)?\s*+[smhd]?\s*+)++", text):
            raise SpaceError(f"timeout: got {cut(duration)}, expected a duration such as 90s, 30m or 1h30m")
        parts = re.findall(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text)
        total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not 0 < total <= _MOST_SECONDS:
        raise SpaceError(f"timeout: got {cut(duration)}, expected more than 0 and at most 100000d")
    return total


def memory_bytes(name: str, memory: int | str) -> int:
    """Return the bytes in a size such as `8GiB`, `500MB` or `2_000_000_000`.

    Args:
        name: The field that the error names.
        memory: The size.

    Raises:
        SpaceError: The text is not a size of at least one MiB.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?", str(memory).strip().lower().replace("_", ""))
    if isinstance(memory, bool) or found is None or found[2] not in _SIZES:
        raise SpaceError(f"{name}: got {cut(memory)}, expected a size such as 8GiB or 500MB")
    size = float(found[1]) * _SIZES[found[2]]
    if not _SIZES["mi"] <= size < math.inf:
        raise SpaceError(f"{name}: got {cut(memory)}, expected at least 1MiB")
    return int(size)


def cut(value: Any) -> str:
    """Return the `repr` of a value, cut after 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
