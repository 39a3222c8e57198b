"""The base of all screens that show a run; on its own it shows only the summary."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from search.display.messages import Line
from search.display.stderr_filter import capture_stderr
from search.display.terminal import console, is_drawable, print_line
from spaces.space import Space
from studies.events import RunListener, StudyOpened
from studies.settings import Study

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


LABEL = 10
COMMAND = "search "


class Screen(RunListener, AbstractContextManager["Screen"]):
    """Shows a run while it is entered, and its summary afterwards.

    Args:
        debug: Whether to show everything that libraries write to standard error.
    """

    def __init__(self, *, debug: bool = False) -> None:
        self.debug = debug
        self.open = ExitStack()
        self.on_open: Callable[[StudyOpened], None] = lambda event: None

    def __enter__(self) -> Self:
        if not self.debug:
            self.open.enter_context(capture_stderr())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restore the terminal."""
        self.open.close()

    def on_space_loaded(self, space: Space, study: Study) -> None:
        """Ignore the loaded space."""

    def on_study_opened(self, event: StudyOpened) -> None:
        """Restore standard error: Keras is loaded, so libraries no longer print notices."""
        self.open.close()
        self.on_open(event)

    def summary(self, lines: list[Line]) -> None:
        """Show the outcome after the run."""
        print_lines(lines)


def print_lines(lines: list[Line]) -> None:
    """Write labelled lines to standard output."""
    if is_drawable(sys.stdout):
        print_table(console(), lines)
        return
    for line in plain_lines(lines):
        print_line(line)


def print_table(terminal: "Console", lines: list[Line]) -> None:
    """Write labelled lines to a terminal; long texts are wrapped, commands are not, so that they can be copied."""
    from rich.text import Text

    for label, text in lines:
        if text.startswith(COMMAND):
            terminal.print(Text(f"{label:<{LABEL}} ", "bold").append(text, "cyan"), soft_wrap=True)
        else:
            terminal.print(_row(label, text))


def _row(label: str, text: str) -> "Table":
    from rich.table import Table
    from rich.text import Text

    row = Table.grid(padding=(0, 1, 0, 0))
    row.add_column(width=LABEL, no_wrap=True)
    row.add_column(overflow="fold")
    row.add_row(Text(label, "bold"), Text(text))
    return row


def plain_lines(lines: list[Line]) -> list[str]:
    """Return labelled lines as plain text."""
    return [f"{label:<{LABEL}} {text}" for label, text in lines]
