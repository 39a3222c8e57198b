"""A study is created once, resumed if unchanged, and refused if changed."""

import contextlib
import dataclasses
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import pytest

from spaces.errors import OutputError, StudyError
from studies import Study
from studies.database.connection import open_storage
from studies.database.lookup import open_study
from studies.database.urls import redact_url, sqlite_url
from studies.study_folder import StudyRef, ensure_study_folder
from tests.support.fakes import DATA, TINY, opened_tiny

CHANGED_SETTINGS = {"seed": 1, "sampler": "random", "pruner": "median"}


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        ({"space": dataclasses.replace(TINY, dropout=0.3)}, ["- dropout = Float(0.0, 0.5", "+ dropout = 0.3"]),
        ({"data": {**DATA, "images": [90, 20, 20]}}, ["- images = [80, 20, 20]\n    + images = [90, 20, 20]"]),
        *(({"settings": Study(**{name: value})}, [name]) for name, value in CHANGED_SETTINGS.items()),
    ],
)
def test_changed_study_is_refused(tmp_path, change, lines):
    """The message shows the changed lines and a hint; the unchanged study resumes with other trials and timeout."""
    assert not opened_tiny(tmp_path, Study(trials=3)).resumed
    with pytest.raises(StudyError) as caught:
        opened_tiny(tmp_path, **{"settings": Study(), **change})
    assert [line for line in (*lines, "--study NEWNAME") if line not in str(caught.value)] == []
    assert opened_tiny(tmp_path, Study(trials=30, timeout="1h")).resumed


@pytest.mark.parametrize(
    ("directions", "values"), [(["maximize"], [1.0]), (["minimize"], None), (["maximize", "minimize"], None)]
)
def test_study_of_other_program_is_refused(tmp_path, directions, values):
    """A study with trials, another direction or several objectives is refused, and nothing is written to it."""
    study = optuna.create_study(storage=sqlite_url(tmp_path / "study.db"), study_name="tiny", directions=directions)
    if values is not None:
        study.add_trial(optuna.trial.create_trial(values=values))
    with pytest.raises(StudyError, match="not created by search"):
        opened_tiny(tmp_path, Study())
    assert study.user_attrs == {}


def test_readonly_study_is_not_written(tmp_path):
    """A read-only file can be read; a missing file is not created, and a missing study is answered with the others."""

    def found(name, file):
        return open_study(StudyRef(name, sqlite_url(tmp_path / file), Path()))

    with pytest.raises(StudyError, match="not found"):
        found("tiny", "typo.db")
    assert list(tmp_path.iterdir()) == []
    opened_tiny(tmp_path, Study())
    before = (tmp_path / "study.db").read_bytes()
    assert found("tiny", "study.db").study.user_attrs["search:fingerprint"]
    with pytest.raises(StudyError, match="existing studies: tiny"):
        found("other", "study.db")
    assert (tmp_path / "study.db").read_bytes() == before


def test_incomplete_creation_is_completed(tmp_path):
    """The creator crashed before it described the study."""
    optuna.create_study(storage=sqlite_url(tmp_path / "study.db"), study_name="tiny", direction="maximize")
    assert opened_tiny(tmp_path, Study()).study.user_attrs["search:fingerprint"]


KILLED_WHILE_IT_WROTE = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in ("PRAGMA cache_size=1", "BEGIN IMMEDIATE", "CREATE TABLE rows (text TEXT)"):
    connection.execute(statement)
connection.executemany("INSERT INTO rows VALUES (?)", [("x" * 1000,)] * 500)
os._exit(0)
"""


@pytest.mark.parametrize("reading", [True, False])
def test_killed_creation_is_rolled_back(tmp_path, reading):
    """The next process rolls the half-written file back, even if it only reads."""
    file = tmp_path / "study.db"
    plain = optuna.storages.RDBStorage(sqlite_url(file))
    optuna.create_study(storage=plain, study_name="tiny")
    plain.engine.dispose()
    subprocess.run([sys.executable, "-c", KILLED_WHILE_IT_WROTE, str(file)], check=True)
    assert (tmp_path / "study.db-journal").stat().st_size > 0
    storage = open_storage(sqlite_url(file), reading=reading)
    assert storage.get_all_studies()[0].study_name == "tiny"
    storage.engine.dispose()


@pytest.mark.parametrize("is_database", [False, True])
def test_file_of_other_program_is_refused(tmp_path, is_database):
    """It is never written: no tables are added to it."""
    file = tmp_path / "study.db"
    if is_database:
        with contextlib.closing(sqlite3.connect(file)) as connection:
            connection.execute("CREATE TABLE bookmarks (url TEXT)")
    else:
        file.write_text("dear diary " * 100)
    before = file.read_bytes()
    with pytest.raises(StudyError, match="belongs to another program" if is_database else "not a SQLite database"):
        open_storage(sqlite_url(file))
    assert file.read_bytes() == before


def test_locked_database_is_reported(tmp_path, monkeypatch):
    """The message says that another process holds the lock."""
    monkeypatch.setattr("studies.database.connection.BUSY_TIMEOUT_SECONDS", 0.1)
    opened_tiny(tmp_path, Study())
    with contextlib.closing(sqlite3.connect(tmp_path / "study.db", isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StudyError, match="locked by another process"):
            opened_tiny(tmp_path, Study())


def test_redacted_url_has_no_password():
    """It shows server and database, but no secrets, whatever their characters."""
    assert redact_url("postgresql+psycopg://me:hunter2@host/db") == "postgresql+psycopg://***@host/db"
    for url in ("u:hun@ter2/x@h/db", "h/db?user=u&password=hunter2", "u:hun?ter2@h/db", "u:hun ter2@h/db"):
        assert "ter2" not in redact_url(f"postgresql+psycopg://{url}")


def test_concurrent_starts_share_folder(tmp_path):
    """Each process checks that it can write, and none fails because another removed the probe."""
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: ensure_study_folder(tmp_path, "x"), range(2000)))
    assert set(found) == {tmp_path / "x"}
    assert list((tmp_path / "x").iterdir()) == []


def test_unusable_output_folder_is_refused(tmp_path):
    """The message names the folder and a hint."""
    (tmp_path / "runs").write_text("")
    with pytest.raises(OutputError, match=rf"cannot write to {tmp_path}/runs.*\nhint: pass a different --output"):
        ensure_study_folder(tmp_path / "runs", "x")
