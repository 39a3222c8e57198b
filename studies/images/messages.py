"""The wording that messages about images and folders share."""

from collections.abc import Collection, Sequence

_LISTED = 5


def printable_path(path: str) -> str:
    """Return a path that is safe to print: line breaks and undecodable bytes are escaped."""
    return path if path.isprintable() else ascii(path)


def os_reason(error: OSError) -> str:
    """Return the operating system's reason for an error, in lower case."""
    return (error.strerror or str(error)).lower()


def quote_names(names: Collection[str], limit: int = _LISTED) -> str:
    """Return the first few names in quotes, such as `'cat', 'dog', ...`."""
    return ", ".join(map(repr, list(names)[:limit])) + (", ..." if len(names) > limit else "")


def list_lines(lines: Sequence[str]) -> str:
    """Return the first few lines, each indented on a line of its own, and the number of the others."""
    more = [f"and {len(lines) - _LISTED} more"] if len(lines) > _LISTED else []
    return "".join(f"\n  {line}" for line in [*lines[:_LISTED], *more])
