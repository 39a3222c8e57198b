"""How a failed command ends: `error:` and `hint:` lines on standard error, and an exit code."""

import re
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from search.display.terminal import is_drawable
from search.formatting import escape_text, redact
from spaces.errors import SearchError
from studies.outcome import RunResult

EXIT_CODES = """\
Exit codes
  0  success
  1  internal error
  2  usage error
  3  invalid space or space file
  4  unusable images or labels
  5  the model cannot be built, or its weights do not fit
  6  the study or its database cannot be used
  7  the exported model is missing, incomplete or invalid
  8  results cannot be written
  9  no trial completed
  10  worker processes kept crashing
  130  stopped by Ctrl-C
  143  stopped by SIGTERM"""

_WORDING = (
    ("greater than or equal to", "at least"),
    ("less than or equal to", "at most"),
    ("a valid integer", "an integer"),
    ("a valid number", "a number"),
)
"""Words of pydantic's messages, and ours."""

COLOURS = {"error:": "\x1b[1;31m", "hint:": "\x1b[1;36m"}


class CommandLine(TyperGroup):
    """The group of all commands, which reports a wrong command line like any other error."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run a command and exit with its code."""
        try:
            code = super().main(*args, **{**extra, "standalone_mode": False})
        except TyperException as error:
            code = error.exit_code
            # Without arguments typer prints the help itself and leaves the message empty.
            if problems := getattr(error.__cause__, "errors", None):
                error.message = _wrong_value(problems()[0])
            if message := error.format_message():
                command = getattr(getattr(error, "ctx", None), "command_path", "search")
                hint = "" if "\nhint: " in message else f"\nhint: see `{command} --help`"
                print_error(f"{message[0].lower()}{message[1:].removesuffix('.')}{hint}")
        except SearchError as error:
            code = error.exit_code
            print_error(str(error))
        sys.exit(code or 0)


def _wrong_value(problem: Mapping[str, Any]) -> str:
    """Return the value of an option and what typer expects instead, from an error of pydantic."""
    expected = problem["msg"].removeprefix("Input should be ").partition(", unable to parse")[0]
    for theirs, ours in _WORDING:
        expected = expected.replace(theirs, ours)
    return f"got {str(problem['input'])[:60]!r}, expected {expected}"


@contextmanager
def exit_on_error(debug: bool) -> Iterator[None]:
    """Turn an error raised inside into a message, with `debug` also a traceback, and an exit code.

    Raises:
        typer.Exit: An error was raised; it carries the exit code.
    """
    try:
        yield
    except (typer.Exit, typer.Abort, BrokenPipeError):
        raise
    except Exception as error:
        print_error(error_message(error, debug), error if debug else None)
        raise typer.Exit(error.exit_code if isinstance(error, SearchError) else 1) from error


def error_message(error: BaseException, debug: bool) -> str:
    """Return what happened and, for a bug in this program, how to report it."""
    if isinstance(error, SearchError):
        return str(error)
    remedy = "Report it with the traceback above." if debug else "Run with --debug and report the traceback."
    return f"{type(error).__name__}: {error}\nhint: This is a bug in search. {remedy}"


def print_error(message: str, error: Exception | None = None) -> None:
    """Print a message to standard error, its `error:` and `hint:` coloured on a terminal.

    Args:
        message: What happened; further lines may begin with `hint: `.
        error: Exception whose traceback is printed first; None for none.
    """
    text = "".join(traceback.format_exception(error)) if error is not None else ""
    lines = [escape_text(line) for line in redact(f"{text}error: {message}").splitlines()]
    if is_drawable(sys.stderr):
        lines = [re.sub("^(error:|hint:)", _coloured, line) for line in lines]
    sys.stdout.flush()
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    sys.stderr.flush()


def _coloured(word: re.Match[str]) -> str:
    return f"{COLOURS[word[0]]}{word[0]}\x1b[0m"


def exit_code(result: RunResult) -> int:
    """Return 0, or the code of the signal that stopped the run; `search stop` counts as 0."""
    ended_by = signal.Signals.__members__.get(result.interrupted or "")
    return 128 + ended_by.value if ended_by else 0
