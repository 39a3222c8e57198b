import sys

import pytest
from typer.testing import CliRunner

from search.cli import app
from tests.support import fake_events


@pytest.fixture
def search(monkeypatch, tmp_path):
    """Types a command and returns what it did."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words], prog_name="search")


@pytest.fixture
def refused(search):
    """Types a command that ends with an exit code and one error, and returns its message."""

    def typed(code, *words):
        done = search(*words)
        assert (done.exit_code, done.stderr.count("error: ")) == (code, 1)
        return done.stderr

    return typed


@pytest.fixture
def fake_run(monkeypatch):
    """Lets `search run` play the events, with a function that decides how the run ends."""

    def install(end=fake_events.result):
        calls = []

        def run(declared, settings, *, output, export, listener, stop, process):
            calls.append((declared, settings, output, export))
            fake_events.play(listener, declared.space)
            return end()

        monkeypatch.setitem(sys.modules, "studies.run", fake_events.module("studies.run", run=run))
        return calls

    return install


@pytest.fixture
def folder(tmp_path):
    """The folder of a study `tiny`, as `search run` keeps it."""
    folder = tmp_path / "runs" / "tiny"
    folder.mkdir(parents=True)
    return folder
