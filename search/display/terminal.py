"""Standard output: a terminal with colours and redrawing, or plain text."""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console

Column = Mapping[str, Any]
TEXT: Column = {"overflow": "fold"}
NAME: Column = {"no_wrap": True}
NUMBER: Column = {"no_wrap": True, "justify": "right"}
"""Kinds of columns of a table: text that is folded, and names and numbers that stay on one line."""

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"

STATES = {"complete": "green", "pruned": "yellow", "failed": "red", "waiting": "cyan"}


def is_drawable(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Return True if the stream is a terminal that supports colours and redrawing."""
    if any(environ.get(name) for name in ("NO_COLOR", "CI")) or environ.get("TERM", "dumb") in ("", "dumb", "unknown"):
        return False
    return stream.isatty() and (stream.encoding or "").lower().startswith("utf")


def console() -> "Console":
    """Return a console on standard output: as wide as the terminal, or as wide as needed without one."""
    from rich.console import Console

    # Names from files must not be read as markup or emoji codes.
    plain = {"markup": False, "emoji": False, "highlight": False}
    if is_drawable(sys.stdout):
        return Console(file=sys.stdout, **plain)  # type: ignore[arg-type]
    width = None if sys.stdout.isatty() else 10_000
    return Console(file=sys.stdout, width=width, no_color=True, force_terminal=False, **plain)  # type: ignore[arg-type]


def show_table(columns: Mapping[str, Column], rows: Iterable[Iterable[Sequence[str]]], **options: Any) -> None:
    """Print a table on standard output; without a terminal, strip trailing spaces.

    Args:
        columns: Heading and kind of each column.
        rows: Cells of each row: a text, or a text and its style.
        options: Further options of `rich.table.Table`.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), **options)
    for heading, column in columns.items():
        table.add_column(heading, **column)
    for row in rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else Text(*cell) for cell in row))
    screen = console()
    if is_drawable(sys.stdout):
        screen.print(table)
        return
    with screen.capture() as captured:
        screen.print(table)
    for line in captured.get().splitlines():
        print_line(line.rstrip())


def print_line(line: str = "") -> None:
    """Print a line on standard output and flush it."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def escape_unencodable() -> None:
    """Show characters that the terminal's encoding lacks as escapes instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def flush_quietly() -> None:
    """Flush standard output; a closed reader, such as `head`, is not an error."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes again on exit and would print an error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
