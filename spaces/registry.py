"""Look-ups in the tables that hold one row for each kind of thing, such as the samplers."""

from collections.abc import Mapping
from typing import TypeVar

from spaces.errors import SearchError, SpaceError

K = TypeVar("K")
V = TypeVar("V")


def look_up(table: Mapping[K, V], key: K, field: str, error: type[SearchError] = SpaceError) -> V:
    """Return the row of a table.

    Args:
        table: The rows, by name or by type of record.
        field: What the error calls the field.

    Raises:
        SearchError: The table has no such row; it is of the type `error`.
    """
    if key in table:
        return table[key]
    raise error(f"{field}: got {_name(key)!r}, expected one of {', '.join(map(_name, table))}")


def _name(key: object) -> str:
    return key.__name__ if isinstance(key, type) else str(key)
