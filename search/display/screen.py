"""What every way of showing a run has in common, and the one that shows nothing."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from search.display.messages import Line
from search.display.stderr_filter import capture_stderr
from search.display.terminal import console, is_drawable, print_line
from studies.events import RunListener, StudyOpened

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from spaces.space import Space
    from studies.settings import Study

LABEL = 10
COMMAND = "search "


class Screen(RunListener, AbstractContextManager["Screen"]):
    """Shows a run while it is entered, and its summary afterwards. On its own: the summary alone.

    Args:
        debug: Show everything that libraries write to standard error.
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
        """Leave the screen as it was found."""
        self.open.close()

    def on_space_loaded(self, space: "Space", study: "Study") -> None:
        """The space file is read."""

    def on_study_opened(self, event: StudyOpened) -> None:
        """Keras is loaded, which ends the chatter: from here on standard error is the libraries' own again."""
        self.open.close()
        self.on_open(event)

    def summary(self, facts: list[Line]) -> None:
        """Show the outcome, after the run."""
        print_lines(facts)


def print_lines(facts: list[Line]) -> None:
    """Write facts to standard output."""
    if is_drawable(sys.stdout):
        print_table(console(), facts)
        return
    for line in plain_lines(facts):
        print_line(line)


def print_table(terminal: "Console", facts: list[Line]) -> None:
    """Write facts to a terminal: long ones are wrapped below themselves, but for commands, which can be copied."""
    from rich.text import Text

    for label, text in facts:
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


def plain_lines(facts: list[Line]) -> list[str]:
    """The facts as plain lines."""
    return [f"{label:<{LABEL}} {text}" for label, text in facts]
