"""A study is created once, resumed if unchanged, and refused if changed."""

import dataclasses
import os
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import pytest

from spaces import Float
from spaces.errors import OutputError, StudyError
from studies import Study
from studies.database.connection import open_storage
from studies.database.create_study import create_study
from studies.database.lookup import open_study
from studies.database.urls import redact_url, sqlite_url
from studies.study_folder import StudyRef, ensure_study_folder
from tests.support.fakes import DATA, TINY, open_tiny

SECRET = "hunter2"


def test_study_is_resumed_by_name(tmp_path):
    """The second call loads the study that the first one created."""
    url = sqlite_url(tmp_path / "study.db")
    assert not create_study(url, "a", TINY, Study(), DATA).resumed
    assert create_study(url, "a", TINY, Study(), DATA).resumed


def test_changed_space_is_refused(tmp_path):
    """The message shows the changed lines and a hint; the study stays unchanged."""
    open_tiny(tmp_path, Study())
    changed = dataclasses.replace(TINY, dropout=Float(0.0, 0.3, default=0.1))
    with pytest.raises(StudyError) as caught:
        open_tiny(tmp_path, Study(), changed)
    message = str(caught.value)
    assert "- dropout = Float(0.0, 0.5, default=0.1)" in message
    assert "+ dropout = Float(0.0, 0.3, default=0.1)" in message
    assert "--study NEWNAME" in message
    open_tiny(tmp_path, Study())


@pytest.mark.parametrize("change", [{"seed": 1}, {"sampler": "random"}, {"pruner": "median"}])
def test_changed_settings_are_refused(tmp_path, change):
    """Seed, sampler and pruner must not change."""
    open_tiny(tmp_path, Study())
    with pytest.raises(StudyError, match=next(iter(change))):
        open_tiny(tmp_path, Study(**change))


def test_changed_images_are_refused(tmp_path):
    """The message shows what differs."""
    open_tiny(tmp_path, Study())
    with pytest.raises(StudyError, match=r"- images = \[80, 20, 20\]\n    \+ images = \[90, 20, 20\]"):
        open_tiny(tmp_path, Study(), data={**DATA, "images": [90, 20, 20]})


def test_trials_and_timeout_may_change(tmp_path):
    """They may change from run to run."""
    open_tiny(tmp_path, Study(trials=3))
    open_tiny(tmp_path, Study(trials=30, timeout="1h"))


@pytest.mark.parametrize(
    ("directions", "values"), [(["maximize"], [1.0]), (["minimize"], None), (["maximize", "minimize"], None)]
)
def test_study_of_other_program_is_refused(tmp_path, directions, values):
    """A study with trials, another direction or several objectives is refused, and nothing is written to it."""
    study = optuna.create_study(storage=sqlite_url(tmp_path / "study.db"), study_name="tiny", directions=directions)
    if values is not None:
        study.add_trial(optuna.trial.create_trial(values=values))
    with pytest.raises(StudyError, match="not created by search"):
        open_tiny(tmp_path, Study())
    assert study.user_attrs == {}


def test_readonly_study_is_not_written(tmp_path):
    """A read-only file can be read, and a missing file is not created."""
    with pytest.raises(StudyError, match="not found"):
        open_study(StudyRef("tiny", sqlite_url(tmp_path / "typo.db"), Path()))
    assert list(tmp_path.iterdir()) == []
    open_tiny(tmp_path, Study())
    before = (tmp_path / "study.db").read_bytes()
    assert open_study(StudyRef("tiny", sqlite_url(tmp_path / "study.db"), Path())).study.user_attrs[
        "search:fingerprint"
    ]
    assert (tmp_path / "study.db").read_bytes() == before


def test_incomplete_creation_is_completed(tmp_path):
    """The creator crashed before it described the study."""
    optuna.create_study(storage=sqlite_url(tmp_path / "study.db"), study_name="tiny", direction="maximize")
    assert open_tiny(tmp_path, Study()).user_attrs["search:fingerprint"]


KILLED_WHILE_IT_WROTE = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size=1")
connection.execute("BEGIN IMMEDIATE")
connection.execute("CREATE TABLE rows (text TEXT)")
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


def test_optuna_reads_study(tmp_path):
    """The database remains a valid database of Optuna."""
    open_tiny(tmp_path, Study())
    assert optuna.load_study(study_name="tiny", storage=sqlite_url(tmp_path / "study.db")).direction.name == "MAXIMIZE"


def test_unknown_study_lists_existing_studies(tmp_path):
    """The hint names the studies of the database."""
    open_tiny(tmp_path, Study())
    with pytest.raises(StudyError, match="existing studies: tiny"):
        open_study(StudyRef("other", sqlite_url(tmp_path / "study.db"), Path()))


def test_file_that_is_no_database_is_refused(tmp_path):
    """It is never written."""
    file = tmp_path / "study.db"
    file.write_text("dear diary " * 100)
    with pytest.raises(StudyError, match="not a SQLite database"):
        open_storage(sqlite_url(file))
    assert file.read_text() == "dear diary " * 100


def test_database_of_other_program_is_refused(tmp_path):
    """No tables are added to it."""
    file = tmp_path / "study.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()
    with pytest.raises(StudyError, match="belongs to another program"):
        open_storage(sqlite_url(file))


def test_locked_database_is_reported(tmp_path, monkeypatch):
    """The message says that another process holds the lock."""
    monkeypatch.setattr("studies.database.connection.BUSY_TIMEOUT_SECONDS", 0.1)
    open_tiny(tmp_path, Study())
    holder = sqlite3.connect(tmp_path / "study.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(StudyError, match="locked by another process"):
            open_tiny(tmp_path, Study())
    finally:
        holder.close()


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "oracle://u:hunter2@h/x",
        "postgresql+psycopg://u:hunter2@127.0.0.1:1/x",
        "mysql+pymysql://u:hunter2@127.0.0.1:1/x",
    ],
)
def test_error_hides_password(url):
    """The message names an unusable database without its password."""
    with pytest.raises(StudyError) as caught:
        open_storage(url)
    assert SECRET not in str(caught.value)


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


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_readonly_output_folder_is_refused(tmp_path):
    """The message names the folder and a hint."""
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(OutputError, match="pass a different --output"):
        ensure_study_folder(tmp_path, "x")


def test_file_as_output_folder_is_refused(tmp_path):
    """It is an output error without a traceback."""
    (tmp_path / "runs").write_text("")
    with pytest.raises(OutputError, match="cannot write to"):
        ensure_study_folder(tmp_path / "runs", "x")
