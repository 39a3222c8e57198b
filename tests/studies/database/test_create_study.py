"""A study is created once, resumed when it is the same, and refused when it is another."""

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


def test_a_study_is_resumed_by_its_name(tmp_path):
    """The second opening finds what the first created."""
    url = sqlite_url(tmp_path / "study.db")
    assert not create_study(url, "a", TINY, Study(), DATA).resumed
    assert create_study(url, "a", TINY, Study(), DATA).resumed


def test_a_changed_space_is_refused_with_the_lines_that_differ(tmp_path):
    """The message shows the old and the new line and the way out, and the study is left as it was."""
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
    """Seed, sampler and pruner stay what they were: trials would not be comparable."""
    open_tiny(tmp_path, Study())
    with pytest.raises(StudyError, match=next(iter(change))):
        open_tiny(tmp_path, Study(**change))


def test_other_images_are_refused(tmp_path):
    """A study of one data set never goes on with another; the message shows what differs."""
    open_tiny(tmp_path, Study())
    with pytest.raises(StudyError, match=r"- images = \[80, 20, 20\]\n    \+ images = \[90, 20, 20\]"):
        open_tiny(tmp_path, Study(), data={**DATA, "images": [90, 20, 20]})


def test_more_trials_are_no_other_study(tmp_path):
    """The number of trials and the timeout may change from run to run."""
    open_tiny(tmp_path, Study(trials=3))
    open_tiny(tmp_path, Study(trials=30, timeout="1h"))


def test_a_study_of_plain_optuna_is_refused(tmp_path):
    """A study that somebody else filled is not ours to go on with."""
    url = sqlite_url(tmp_path / "study.db")
    study = optuna.create_study(storage=url, study_name="tiny")
    study.add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(StudyError, match="not created by search"):
        open_tiny(tmp_path, Study())


def test_an_empty_study_with_another_direction_is_refused(tmp_path):
    """A study that minimises cannot search for the highest accuracy."""
    optuna.create_study(storage=sqlite_url(tmp_path / "study.db"), study_name="tiny", direction="minimize")
    with pytest.raises(StudyError, match="not created by search"):
        open_tiny(tmp_path, Study())


def test_a_study_of_several_objectives_is_refused(tmp_path):
    """Also while it is empty: there is no one value to compare trials by. Nothing is written into it."""
    url, directions = sqlite_url(tmp_path / "study.db"), ["maximize", "minimize"]
    study = optuna.create_study(storage=url, study_name="tiny", directions=directions)
    with pytest.raises(StudyError, match="not created by search"):
        open_tiny(tmp_path, Study())
    assert study.user_attrs == {}


def test_reading_writes_nothing(tmp_path):
    """A study is read from a file that may not be written, and a missing file is not created."""
    with pytest.raises(StudyError, match="not found"):
        open_study(StudyRef("tiny", sqlite_url(tmp_path / "typo.db"), Path()))
    assert list(tmp_path.iterdir()) == []
    open_tiny(tmp_path, Study())
    before = (tmp_path / "study.db").read_bytes()
    assert open_study(StudyRef("tiny", sqlite_url(tmp_path / "study.db"), Path())).study.user_attrs[
        "search:fingerprint"
    ]
    assert (tmp_path / "study.db").read_bytes() == before


def test_a_study_whose_creation_was_cut_short_is_completed(tmp_path):
    """A process that died between creating and describing a study does no harm."""
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
def test_a_database_whose_creation_was_killed_opens_again(tmp_path, reading):
    """What a killed process left half written is taken back, by whoever comes first, even if it only reads."""
    file = tmp_path / "study.db"
    plain = optuna.storages.RDBStorage(sqlite_url(file))
    optuna.create_study(storage=plain, study_name="tiny")
    plain.engine.dispose()
    subprocess.run([sys.executable, "-c", KILLED_WHILE_IT_WROTE, str(file)], check=True)
    assert (tmp_path / "study.db-journal").stat().st_size > 0
    storage = open_storage(sqlite_url(file), reading=reading)
    assert storage.get_all_studies()[0].study_name == "tiny"
    storage.engine.dispose()


def test_optuna_reads_the_study(tmp_path):
    """The database stays one of Optuna's."""
    open_tiny(tmp_path, Study())
    assert optuna.load_study(study_name="tiny", storage=sqlite_url(tmp_path / "study.db")).direction.name == "MAXIMIZE"


def test_an_unknown_study_names_those_that_are_there(tmp_path):
    """The message lists the studies of the database."""
    open_tiny(tmp_path, Study())
    with pytest.raises(StudyError, match="existing studies: tiny"):
        open_study(StudyRef("other", sqlite_url(tmp_path / "study.db"), Path()))


def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path):
    """A file of somebody else's is never written to."""
    file = tmp_path / "study.db"
    file.write_text("dear diary " * 100)
    with pytest.raises(StudyError, match="not a SQLite database"):
        open_storage(sqlite_url(file))
    assert file.read_text() == "dear diary " * 100


def test_a_database_of_another_program_is_refused_and_kept(tmp_path):
    """No tables are added to a database that is not Optuna's."""
    file = tmp_path / "study.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()
    with pytest.raises(StudyError, match="belongs to another program"):
        open_storage(sqlite_url(file))


def test_a_locked_database_is_said_to_be_locked(tmp_path, monkeypatch):
    """Another process that holds the file is named as the cause."""
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
def test_passwords_are_never_shown(url):
    """A storage that cannot be used is named without its password."""
    with pytest.raises(StudyError) as caught:
        open_storage(url)
    assert SECRET not in str(caught.value)


def test_the_url_is_shown_without_its_password():
    """The server and the database are shown; what may hold a secret is not, whatever its characters."""
    assert redact_url("postgresql+psycopg://me:hunter2@host/db") == "postgresql+psycopg://***@host/db"
    for url in ("u:hun@ter2/x@h/db", "h/db?user=u&password=hunter2", "u:hun?ter2@h/db", "u:hun ter2@h/db"):
        assert "ter2" not in redact_url(f"postgresql+psycopg://{url}")


def test_many_start_in_one_folder_at_once(tmp_path):
    """Each tries whether it can be written, and none is put off by what another one removes."""
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: ensure_study_folder(tmp_path, "x"), range(2000)))
    assert set(found) == {tmp_path / "x"}
    assert list((tmp_path / "x").iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_output_folder_is_refused(tmp_path):
    """The folder is named, and what to do."""
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(OutputError, match="give another --output"):
        ensure_study_folder(tmp_path, "x")


def test_an_output_folder_that_is_a_file_is_refused(tmp_path):
    """A file in the way is an error of the output, not a traceback."""
    (tmp_path / "runs").write_text("")
    with pytest.raises(OutputError, match="cannot write to"):
        ensure_study_folder(tmp_path / "runs", "x")
