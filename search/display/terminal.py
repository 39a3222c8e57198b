"""Where output goes: a terminal that can be drawn on, or plain text."""

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"

STATES = {"complete": "green", "pruned": "yellow", "failed": "red", "waiting": "cyan"}


def is_drawable(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether lines on this stream can be drawn over."""
    if any(environ.get(name) for name in ("NO_COLOR", "CI")) or environ.get("TERM", "dumb") in ("", "dumb", "unknown"):
        return False
    return stream.isatty() and (stream.encoding or "").lower().startswith("utf")


def console() -> "Console":
    """Standard output for tables: as wide as the terminal, or as wide as needed where there is none."""
    from rich.console import Console

    # Names from files are shown as they are: neither as markup nor as emoji codes.
    plain = {"markup": False, "emoji": False, "highlight": False}
    if is_drawable(sys.stdout):
        return Console(file=sys.stdout, **plain)  # type: ignore[arg-type]
    width = None if sys.stdout.isatty() else 10_000
    return Console(file=sys.stdout, width=width, no_color=True, force_terminal=False, **plain)  # type: ignore[arg-type]


def show_table(table: "Table") -> None:
    """A table on standard output; in a pipe without the spaces that would fill its last column."""
    screen = console()
    if is_drawable(sys.stdout):
        screen.print(table)
        return
    with screen.capture() as captured:
        screen.print(table)
    for line in captured.get().splitlines():
        print_line(line.rstrip())


def print_line(line: str = "") -> None:
    """One line on standard output, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def escape_unencodable() -> None:
    """Let a name that the terminal's encoding lacks be shown as an escape rather than end the program."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def flush_quietly() -> None:
    """Write what is left; a reader that has gone away, such as `head`, is no error."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more while it exits, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
