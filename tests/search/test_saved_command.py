"""The command in a study's folder: complete, without passwords, and never half written."""

import errno
import json
import os
import shlex
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from search.commands.run import run
from search.run_command import RunCommand
from search.saved_command import load_command, save_command, storage_of
from spaces.errors import OutputError, StudyError
from tests.support import fake_events


@pytest.mark.parametrize(
    ("url", "stored"),
    [
        ("postgresql+psycopg://me:s3cr3t@host:5/db?sslmode=x", "postgresql+psycopg://me@host:5/db?sslmode=x"),
        ("mysql+pymysql://me@host/db?password=s3cr3t&ssl_ca=ca.pem", "mysql+pymysql://me@host/db?ssl_ca=ca.pem"),
        ("mysql+pymysql://me:x/@s3cr3t@host/db", None),
        ("postgresql+psycopg://me:s3cr3t/", None),
        ("postgresql+psycopg://host/db", "postgresql+psycopg://host/db"),
    ],
)
def test_passwords_are_not_saved(tmp_path, monkeypatch, url, stored):
    """Everything in a URL that may be a password is removed; a later command uses the rest, or a typed URL."""
    monkeypatch.chdir(tmp_path)
    settings = {"storage": url, "checkpoints": "s3://key:s3cr3t@bucket/x"}
    save_command(RunCommand("digits", settings), "digits", url)
    assert "s3cr3t" not in (tmp_path / "runs/digits/command.json").read_text()
    saved = load_command(Path("runs/digits"))
    assert saved.storage == stored
    assert saved.command.settings == {"checkpoints": "s3://key@bucket/x"}
    assert storage_of("digits", Path("runs"), None) == stored
    assert storage_of("digits", Path("runs"), "sqlite:///x.db") == "sqlite:///x.db"


def test_a_command_is_loaded_as_it_was_saved(tmp_path, monkeypatch):
    """All arguments and options are kept."""
    monkeypatch.chdir(tmp_path)
    settings = {"trials": 9, "name": "a", "timeout": "1h"}
    command = RunCommand("my space.py", settings, Path("there"), False, "my photos", Path("c"))
    save_command(command, "a", None)
    assert load_command(Path("there/a")).command == command
    assert shlex.split(command.rerun_command())[2] == "my space.py"


def test_a_command_saved_before_options_were_renamed_is_loaded(tmp_path):
    """The old names of settings are read as the new ones."""
    settings = {"workers": 4, "per_gpu": 2, "worker_memory": "6GiB"}
    record = {"format": 1, "study": "a", "storage": None, "secrets_left_out": False, "folder": "/", "run": {}}
    record["run"] = {"target": "digits", "settings": settings, "output": "runs", "export": True}
    (tmp_path / "command.json").write_text(json.dumps(record))
    command = load_command(tmp_path).command
    assert command.settings == {"workers": 4, "workers_per_gpu": 2, "max_worker_memory": "6GiB"}
    assert "--workers-per-gpu 2 --max-worker-memory 6GiB" in command.rerun_command()


@pytest.mark.parametrize("text", ["[]", "7", "null", "[" * 100_000, "{"])
def test_a_file_without_a_command_is_refused(tmp_path, text):
    """Other JSON and invalid JSON end alike."""
    (tmp_path / "command.json").write_text(text)
    with pytest.raises(StudyError, match="cannot read"):
        load_command(tmp_path)


def test_a_refused_run_does_not_save_its_command(monkeypatch, tmp_path):
    """The earlier command stays until the study is open."""
    monkeypatch.chdir(tmp_path)
    refuse = Mock(side_effect=KeyError)
    monkeypatch.setitem(sys.modules, "studies.run", fake_events.module("studies.run", run=refuse))
    with pytest.raises(KeyError):
        run(RunCommand("digits"), {}, quiet=True, debug=False)
    assert not (tmp_path / "runs").exists()


def test_a_full_disk_keeps_the_earlier_command(tmp_path, monkeypatch):
    """The partial file is removed."""
    save_command(RunCommand("digits", {}, tmp_path), "digits", None)
    monkeypatch.setattr(Path, "replace", Mock(side_effect=OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(OutputError, match=r"No space left on device\nhint: .*--output"):
        save_command(RunCommand("digits", {"trials": 3}, tmp_path), "digits", None)
    assert [file.name for file in (tmp_path / "digits").iterdir()] == ["command.json"]
    assert load_command(tmp_path / "digits").command.settings == {}


def test_partial_files_of_killed_processes_are_removed(tmp_path):
    """Only old ones: a new one may still be being written."""
    old, new = (tmp_path / "digits" / f".command.json.{number}" for number in (1, 2))
    old.parent.mkdir()
    for file in (old, new):
        file.write_text("{")
    os.utime(old, (0, 0))
    save_command(RunCommand("digits", {}, tmp_path), "digits", None)
    assert (old.exists(), new.exists()) == (False, True)
