import os
import sys

import pytest
import typer

from search.exit_codes import exit_on_error
from spaces import errors
from tests.support import stream

ERRORS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.SearchError)]
KINDS = [kind for kind in ERRORS if kind is not errors.UnreadableImagesError]  # it writes its message itself


def failing(error):
    """A module whose `run` raises."""

    def run(*words, **options):
        raise error

    return stream.module("studies.run", run=run)


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_one_message(search, monkeypatch, kind):
    """An error is told once, on standard error, with its exit code and without a traceback."""
    monkeypatch.setitem(sys.modules, "studies.run", failing(kind("the rule [bold]that\x1b[31m was broken")))
    done = search("run", "digits", "--quiet")
    assert done.exit_code == kind.exit_code
    assert done.stderr == "error: the rule [bold]that\\x1b[31m was broken\n"
    assert done.stdout == ""


def test_debug_shows_the_traceback(search, monkeypatch):
    """`--debug` shows where an error came from, and keeps its exit code."""
    monkeypatch.setitem(sys.modules, "studies.run", failing(errors.DataError("no images")))
    done = search("run", "digits", "--quiet", "--debug")
    assert done.exit_code == 4
    assert "Traceback (most recent call last)" in done.stderr
    assert done.stderr.endswith("error: no images\n")


def test_defects_are_told_as_such(search, monkeypatch):
    """What nobody expected is said to be a defect of the program, in one message, and ends with 1."""
    monkeypatch.setitem(sys.modules, "studies.run", failing(KeyError("key")))
    done = search("run", "digits", "--quiet")
    assert done.exit_code == 1
    assert "KeyError: 'key'" in done.stderr
    assert "defect" in done.stderr
    assert "--debug" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("debug", [False, True])
def test_passwords_are_never_shown(search, monkeypatch, debug):
    """Neither a message nor a traceback shows the password of a URL."""
    error = RuntimeError("could not connect to postgresql+psycopg://me:s3cr@t@host/db")
    monkeypatch.setitem(sys.modules, "studies.run", failing(error))
    done = search("run", "digits", "--quiet", *(["--debug"] if debug else []))
    assert "postgresql+psycopg://***@host/db" in done.stderr
    assert "s3cr" not in done.output


def test_messages_keep_their_lines(capsys):
    """A message of several lines, such as two spaces' differences, stays so."""
    with pytest.raises(typer.Exit), exit_on_error(debug=False):
        raise errors.StudyError("changed:\n    - a = 1\n    + a = 2")
    assert capsys.readouterr().err == "error: changed:\n    - a = 1\n    + a = 2\n"


def test_interrupts_outside_a_run_end_with_130(search, monkeypatch):
    """Ctrl-C while nothing can be kept ends with 130 and no message."""

    def read_trials(*words):
        raise KeyboardInterrupt

    monkeypatch.setattr("studies.status.trial_table.summarize_trials", read_trials)
    done = search("trials", "digits")
    assert done.exit_code == 130
    assert done.output == ""


def test_c_libraries_are_kept_quiet(monkeypatch):
    """The variables that TensorFlow reads while it is imported are set, and a user's own win."""
    from search.quiet_env import silence_native_logs

    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    monkeypatch.delenv("GRPC_VERBOSITY", raising=False)
    silence_native_logs()
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"
    assert os.environ["GRPC_VERBOSITY"] == "ERROR"
