import io
import os
import re
import sys
from unittest.mock import Mock

import pytest

from search.exit_codes import EXIT_CODES, print_error
from search.quiet_env import silence_native_logs
from spaces import errors
from tests.support import fake_events

ERRORS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.SearchError)]
KINDS = [kind for kind in ERRORS if kind is not errors.UnreadableImagesError]  # it writes its own message


def test_every_error_class_has_a_listed_code():
    """The exit codes in the help are those of the error classes."""
    listed = {int(code) for code in re.findall(r"^  (\d+)  ", EXIT_CODES, re.MULTILINE)}
    assert {kind.exit_code for kind in ERRORS} | {0, 2, 130, 143} == listed


@pytest.fixture
def failing_run(search, monkeypatch):
    """Types `search run digits`, which raises an error."""

    def run(error, *words):
        fail = Mock(side_effect=error)
        monkeypatch.setitem(sys.modules, "studies.run", fake_events.module("studies.run", run=fail))
        return search("run", "digits", "--quiet", *words)

    return run


@pytest.mark.parametrize("debug", [[], ["--debug"]])
@pytest.mark.parametrize("kind", KINDS)
def test_an_error_is_one_message_and_its_exit_code(failing_run, kind, debug):
    """It goes to standard error, escaped, and lines stay lines; only `--debug` shows a traceback before."""
    done = failing_run(kind("the rule [bold]that\x1b[31m\nhint: try again"), *debug)
    assert done.exit_code == kind.exit_code
    traceback, _, message = done.stderr.rpartition("error: ")
    assert message == "the rule [bold]that\\x1b[31m\nhint: try again\n"
    assert traceback.startswith("Traceback (most recent call last)") if debug else traceback == ""
    assert done.stdout == ""


@pytest.mark.parametrize("debug", [[], ["--debug"]])
def test_an_internal_error_asks_for_a_report(failing_run, debug):
    """It ends with 1, names the exception, and says how to get the traceback; no password of a URL is shown."""
    done = failing_run(RuntimeError("cannot reach postgresql+psycopg://me:s3cr@t@host/db"), *debug)
    assert done.exit_code == 1
    assert "error: RuntimeError: cannot reach postgresql+psycopg://***@host/db\nhint: This is a bug" in done.stderr
    assert ("Traceback" in done.stderr, "s3cr" in done.output) == (bool(debug), False)
    assert ("--debug" in done.stderr) != bool(debug)


def test_error_and_hint_are_coloured_on_a_terminal(monkeypatch):
    """Both words are; the rest of the message is not."""
    terminal = io.StringIO()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr("search.exit_codes.is_drawable", lambda stream: stream is terminal)
    print_error("no error: here\nhint: pass x")
    assert terminal.getvalue() == "\x1b[1;31merror:\x1b[0m no error: here\n\x1b[1;36mhint:\x1b[0m pass x\n"


def test_ctrl_c_outside_a_run_ends_with_130(search, monkeypatch):
    """There is no message."""
    monkeypatch.setattr("search.commands.trials.summarize_trials", Mock(side_effect=KeyboardInterrupt))
    done = search("trials", "digits")
    assert (done.exit_code, done.output) == (130, "")


def test_native_libraries_are_silenced(monkeypatch):
    """The variables that TensorFlow reads on import are set; a user's own value wins."""
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    monkeypatch.delenv("GRPC_VERBOSITY", raising=False)
    silence_native_logs()
    assert (os.environ["TF_CPP_MIN_LOG_LEVEL"], os.environ["GRPC_VERBOSITY"]) == ("0", "ERROR")
