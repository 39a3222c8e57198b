"""How a command that fails ends: one message on standard error and an exit code, a traceback only when asked for."""

import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from search.formatting import escape_text, redact
from spaces.errors import SearchError

if TYPE_CHECKING:
    from studies.outcome import RunResult


EXIT_CODES = """\
Exit codes
  0  done
  1  a defect in this program
  2  wrong command line
  3  the space file or the space in it is wrong
  4  the images or labels cannot be used
  5  a model cannot be built, or its weights do not fit
  6  the study or its database cannot be used
  7  an exported model is missing, incomplete or wrong
  8  results cannot be written
  9  the search ended without one complete trial
  10  a worker process died again and again
  130  ended by Ctrl-C
  143  ended by SIGTERM"""


@contextmanager
def exit_on_error(debug: bool) -> Iterator[None]:
    """End the command with one message and the exit code of the error that is raised inside.

    Args:
        debug: Show the traceback as well.

    Raises:
        typer.Exit: An error was raised; it carries the exit code.
    """
    try:
        yield
    except SearchError as error:
        _tell(error, str(error), debug)
        raise typer.Exit(error.exit_code) from error
    except (typer.Exit, typer.Abort, BrokenPipeError):
        raise
    except Exception as error:
        _tell(error, f"{type(error).__name__}: {error}\n{_defect(debug)}", debug)
        raise typer.Exit(1) from error


def _tell(error: Exception, message: str, debug: bool) -> None:
    text = "".join(traceback.format_exception(error)) if debug else ""
    lines = redact(f"{text}error: {message}").splitlines()
    sys.stdout.flush()
    sys.stderr.write("".join(f"{escape_text(line)}\n" for line in lines))
    sys.stderr.flush()


def _defect(debug: bool) -> str:
    told = "please report it with the traceback above" if debug else "--debug shows the traceback to report it with"
    return f"This is a defect in search, not in your input: {told}."


def exit_code(result: "RunResult") -> int:
    """Return 0, or the code of the signal that ended the run; `search stop` counts as 0."""
    ended_by = signal.Signals.__members__.get(result.interrupted or "")
    return 128 + ended_by.value if ended_by else 0
