"""`search delete` deletes a study with its files, and nothing else."""

import contextlib
import json
import re
import sqlite3

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from search.cli import app
from studies import Study
from studies.database.connection import open_storage
from studies.database.tables import CLAIMS, EPOCHS, IDENTITIES, STUDIES, WORKERS
from studies.database.urls import sqlite_url
from tests.support.fakes import joined, opened_tiny, run_tiny


def search(*words):
    """The exit code and everything that a command writes."""
    done = CliRunner().invoke(app, list(map(str, words)))
    return done.exit_code, re.sub(r"\s+", " ", done.output)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A finished study with a file of each kind."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "tiny"
    folder.mkdir(parents=True)
    run_tiny(folder, Study(trials=2, sampler="random"))
    identity = opened_tiny(folder, Study(trials=2, sampler="random")).identity
    for name in ("checkpoints", "logs", "best/saved_model/assets"):
        (folder / name).mkdir(parents=True)
    (folder / "checkpoints" / f"0001-00002-1-{identity[:8]}.checkpoint").write_bytes(b"x" * 1000)
    (folder / "checkpoints" / f"best-{identity[:8]}-0001-1.weights").write_bytes(b"x" * 1000)
    (folder / "logs" / "worker-1.log").write_text("log")
    (folder / "best" / "model.keras").write_bytes(b"x" * 5000)
    (folder / "best" / "saved_model" / "saved_model.pb").write_bytes(b"x" * 5000)
    (folder / "best" / "metrics.json").write_text(json.dumps({"study_id": identity}))
    return folder


def test_a_study_goes_with_its_files(folder):
    """Sizes are shown before, and nothing is left."""
    code, output = search("delete", "tiny", "--yes")
    assert code == 0
    for line in ("study tiny, 2 trials", "checkpoints 2 kB", "export 10.1 kB", "deleted tiny"):
        assert line in output, output
    assert not folder.exists()
    assert search("status", "tiny")[0] == 6


def test_deleting_needs_a_confirmation(folder):
    """Without a terminal --yes is required."""
    code, output = search("delete", "tiny")
    assert code == 2
    assert "--yes" in output
    assert (folder / "best" / "model.keras").exists()
    assert search("status", "tiny")[0] == 0


def test_other_files_are_kept_and_named(folder, tmp_path):
    """Files of the user, checkpoints of other studies, and targets of symbolic links."""
    (folder / "notes.txt").write_text("mine")
    (folder / "best" / "mine.csv").write_text("mine")
    other = folder / "checkpoints" / "0001-00002-1-ffffffff.checkpoint"
    other.write_bytes(b"of another study")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "worker-1.log").write_text("mine")
    (folder / "logs" / "worker-1.log").unlink()
    (folder / "logs" / "worker-1.log").symlink_to(elsewhere / "worker-1.log")
    code, output = search("delete", "tiny", "--yes")
    assert code == 0
    assert "notes.txt" in output
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == {
        "notes.txt",
        "best/mine.csv",
        f"checkpoints/{other.name}",
    }
    assert (elsewhere / "worker-1.log").exists()


def test_an_export_of_another_study_is_kept(folder):
    """It has another identity."""
    (folder / "best" / "metrics.json").write_text(json.dumps({"study_id": "another"}))
    assert search("delete", "tiny", "--yes")[0] == 0
    assert (folder / "best" / "model.keras").exists()


def test_other_studies_in_the_database_are_kept(folder):
    """Only the rows of this study are deleted, in all tables."""
    run_tiny(folder, Study(trials=2, sampler="random"))
    opened = opened_tiny(folder, Study(trials=1), name="second")
    queue = joined(opened, Study(trials=1))
    queue.claim()
    queue.worker.deregister(opened.database)
    code, output = search("delete", "tiny", "--yes", "--storage", sqlite_url(folder / "study.db"))
    assert code == 0
    assert "other studies: second" in output
    storage = open_storage(sqlite_url(folder / "study.db"))
    assert [study.study_name for study in storage.get_all_studies()] == ["second"]
    with storage.engine.connect() as connection:
        for table in (STUDIES, WORKERS, CLAIMS, IDENTITIES):
            assert set(connection.scalars(sa.select(table.c.study_id))) == {opened.study_id}, table
        assert connection.scalars(sa.select(EPOCHS.c.trial_id)).all() == []


def test_a_running_study_is_refused(folder):
    """The hint is to stop its workers first."""
    opened = opened_tiny(folder, Study(trials=4, sampler="random"))
    queue = joined(opened, Study(trials=4, sampler="random"))
    code, output = search("delete", "tiny", "--yes")
    assert code == 6
    assert "search stop tiny" in output
    queue.worker.deregister(opened.database)
    assert search("delete", "tiny", "--yes")[0] == 0


def test_a_missing_folder_is_ignored(folder, tmp_path):
    """The rows of a database elsewhere are deleted."""
    url = sqlite_url(tmp_path / "elsewhere.db")
    with contextlib.closing(sqlite3.connect(folder / "study.db")) as connection:
        connection.execute("VACUUM INTO ?", (str(tmp_path / "elsewhere.db"),))
    assert search("delete", "tiny", "--yes", "--output", "nowhere", "--storage", url)[0] == 0
    assert (tmp_path / "elsewhere.db").exists()
    assert open_storage(url).get_all_studies() == []


def test_a_link_to_a_folder_is_refused(folder, tmp_path):
    """The error names its target."""
    (tmp_path / "runs" / "linked").symlink_to(folder)
    code, output = search("delete", tmp_path / "runs" / "linked", "--yes")
    assert code == 8
    assert "is a link to" in output
    assert folder.exists()


def test_status_shows_disk_use(folder):
    """By kind, as text and as JSON."""
    assert "export 10.1 kB" in search("status", "tiny")[1]
    disk = json.loads(CliRunner().invoke(app, ["status", "tiny", "--json"]).stdout)["disk"]
    assert disk["checkpoints"] == 2000
    assert set(disk) == {"checkpoints", "export", "logs", "database"}
