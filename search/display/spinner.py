"""A spinner on standard error while a command loads Keras and computes."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from search.display.stderr_filter import capture_stderr
from search.display.terminal import SPINNER, is_drawable
from search.formatting import format_elapsed


@contextmanager
def spinner(text: str, *, debug: bool) -> Iterator[None]:
    """Show a text and the elapsed seconds, if standard error is a terminal.

    Args:
        debug: Whether to show everything that libraries write to standard error instead.
    """
    if debug:
        yield
    elif is_drawable(sys.stderr):
        with _live_text(text):
            yield
    else:
        with capture_stderr():
            yield


@contextmanager
def _live_text(text: str) -> Iterator[None]:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    since = time.monotonic()

    def frame() -> Text:
        spent = time.monotonic() - since
        return Text(f" {SPINNER[int(spent * 4) % len(SPINNER)]} {text}  {format_elapsed(spent)}", "dim", no_wrap=True)

    # capture_stderr redirects descriptor 2 to a pipe.
    with os.fdopen(os.dup(2), "w", encoding="utf-8") as terminal:
        console = Console(file=terminal, markup=False, emoji=False, highlight=False)
        live = Live(console=console, get_renderable=frame, transient=True, redirect_stdout=False)
        with live, capture_stderr(lambda line: console.print(Text.from_ansi(line))):
            yield
