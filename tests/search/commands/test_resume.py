"""`search resume` repeats the saved command of a study."""

import json
import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa

from studies import Study
from studies.database.study_control import request_stop
from studies.database.tables import STUDIES
from studies.database.urls import sqlite_url
from tests.support.fakes import joined, opened_tiny, run_tiny

SPACE = "from spaces import *\nfrom studies import Study\nspace = Space(data=Digits())\nstudy = Study(trials=5)\n"
SETTINGS = Study(trials=5, seed=3)


@pytest.fixture
def started(tmp_path, search, fake_run):
    """A study `tiny` that was started from a space file in this folder; returns the runs that follow."""
    Path("tiny.py").write_text(SPACE)
    calls = fake_run()
    assert search("run", "tiny.py", "--seed", 3, "--timeout", "30m", "--cache", tmp_path / "c").exit_code == 0
    opened_tiny(tmp_path / "runs" / "tiny", SETTINGS)
    calls.clear()
    return calls


@pytest.fixture
def saved(tmp_path):
    """The file with the study's command."""
    return tmp_path / "runs" / "tiny" / "command.json"


def change(file, inside=(), **fields):
    """Change fields of a saved command, and fields of its `run` record."""
    record = json.loads(file.read_text())
    file.write_text(json.dumps({**record, "run": {**record["run"], **dict(inside)}, **fields}))


def budget(tmp_path):
    """The number of trials in the database."""
    engine = sa.create_engine(sqlite_url(tmp_path / "runs" / "tiny" / "study.db"))
    with engine.connect() as connection:
        return connection.scalar(sa.select(STUDIES.c.trial_budget))


def test_a_study_resumes_with_its_own_settings(search, started):
    """Space, settings and folders are those of the original command; typed options replace them."""
    assert search("resume", "tiny", "--timeout", "1h").exit_code == 0
    loaded, settings, output, export = started[0]
    assert (loaded.name, settings.seed, settings.timeout, settings.trials) == ("tiny", 3, 3600, 5)
    assert (output, export) == (Path("runs"), True)


@pytest.mark.parametrize(
    ("typed", "trials"), [("+50", 55), ("7", 7), (None, 5), ("2147483647", 2**31 - 1), ("+2147483642", 2**31 - 1)]
)
def test_trials_are_set_or_added(search, started, typed, trials):
    """`+50` adds to the current limit, a number replaces it, up to what every database can store."""
    assert search("resume", "tiny", *(["--trials", typed] if typed else [])).exit_code == 0
    assert started[0][1].trials == trials


@pytest.mark.parametrize("typed", ["0", "+0", "-1", "many", "+", "1.5", "2147483648", "+" + "9" * 5000, "+2147483643"])
def test_invalid_numbers_of_trials_end_with_2(refused, started, typed):
    """That includes a sum above the maximum."""
    assert "--trials" in refused(2, "resume", "tiny", "--trials", typed)
    assert started == []


def test_running_workers_get_the_new_limit_at_once(search, started, tmp_path):
    """It can be raised while workers are running, and not lowered."""
    joined(opened_tiny(tmp_path / "runs" / "tiny", SETTINGS), SETTINGS)
    done = search("resume", "tiny", "--trials", "+50", "--quiet")
    assert (budget(tmp_path), started[-1][1].trials) == (55, 55)
    assert "limit" not in done.stdout
    assert "limit raised to 60" in search("resume", "tiny", "--trials", "60").stdout
    assert "cannot be lowered" in search("resume", "tiny", "--trials", "9").stdout
    assert (budget(tmp_path), started[-1][1].trials) == (60, 60)


def test_the_limit_is_at_least_the_finished_trials(search, started, tmp_path):
    """A lower number is raised to it, with a notice."""
    run_tiny(tmp_path / "runs" / "tiny", Study(trials=2, seed=3))
    assert "2 finished trials" in search("resume", "tiny", "--trials", "1").stdout
    assert started[0][1].trials == 2


def test_a_stopping_study_is_not_resumed(refused, started, tmp_path):
    """The new worker would stop like the others; the hint is to wait for them."""
    opened = opened_tiny(tmp_path / "runs" / "tiny", SETTINGS)
    joined(opened, SETTINGS)
    request_stop(opened.database, opened.study_id)
    assert "is stopping (`search stop`); 1 worker still running" in refused(6, "resume", "tiny", "--trials", "+5")
    assert budget(tmp_path) == 5


@pytest.mark.parametrize(
    ("damage", "fragment"),
    [
        ({"format": 2}, "format must be 1"),
        ({"study": 7}, "study cannot be 7"),
        ({"study": "../x"}, "study must be a name"),
        ({"storage": ["x"]}, "storage cannot be"),
        ({"folder": None}, "folder cannot be None"),
        ({"more": 1}, "'more'"),
        ({"run": []}, "run cannot be []"),
        ({"run": {}}, "missing 'target'"),
        ({"inside": {"target": 3}}, "target cannot be 3"),
        ({"inside": {"output": None}}, "output cannot be None"),
        ({"inside": {"settings": {"bogus": 1}}}, "unknown setting 'bogus'"),
        ({"inside": {"settings": {"trials": "many"}}}, "trials: "),
        ({"inside": {"settings": {"timeout": {}}}}, "timeout: "),
        ({"inside": {"settings": {"worker_memory": "x"}}}, "max_worker_memory: got 'x', expected a size"),
        ({"folder": "/gone"}, "no longer exists: /gone"),
    ],
)
def test_a_damaged_command_is_refused(refused, started, saved, damage, fragment):
    """The message names the field, and the command that works without the file."""
    change(saved, **damage)
    message = refused(6, "resume", "tiny")
    assert ("search run SPACE" in message, len(message.splitlines()), started) == (True, 2, [])
    assert fragment in message


@pytest.mark.parametrize(
    ("gone", "code", "fragments"),
    [
        ("tiny.py", 3, ["no longer exists", "tiny.py"]),
        ("runs/tiny/command.json", 6, ["command.json not found", "search run SPACE --study NAME"]),
        ("runs/tiny", 6, ["study 'tiny' not found", "search run SPACE --storage URL"]),
    ],
)
def test_missing_files_are_named(refused, started, gone, code, fragments):
    """The space file, the command, or the study: each error has a hint."""
    Path(gone).rename("elsewhere")
    message = refused(code, "resume", "tiny")
    assert [fragment for fragment in [*fragments, "hint: "] if fragment not in message] == []
    assert started == []


def test_paths_are_absolute_from_another_folder(search, started, saved, tmp_path, monkeypatch):
    """The study may be passed as a folder; shown and saved paths are absolute and without `..`."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    change(saved, {"target": "elsewhere/../tiny.py"})
    done = search("resume", "../runs/tiny")
    assert done.stdout.startswith(f"search {tmp_path / 'tiny.py'}: ")
    assert f"--output {tmp_path / 'runs'}" in done.stdout
    assert (started[0][0].folder, started[0][2]) == (tmp_path, tmp_path / "runs")
    assert "/.." not in done.stdout + saved.read_text()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert "/.." not in search("status", "../runs/tiny").stdout.splitlines()[0]
    monkeypatch.chdir(tmp_path / "runs" / "tiny")
    search("resume", ".")
    assert started[1][2] == tmp_path / "runs"


@pytest.mark.parametrize("is_copy", [True, False])
def test_a_renamed_folder_is_refused(search, refused, started, tmp_path, is_copy):
    """It would resume in the folder of the study's name, as a link with another name to that folder does."""
    runs = tmp_path / "runs"
    (runs / "alias").symlink_to(runs / "tiny")
    search("resume", "alias")
    assert started.pop()[2] == Path("runs")
    shutil.copytree(runs / "tiny", runs / "renamed")
    if not is_copy:
        shutil.rmtree(runs / "tiny")
    assert f"{runs / 'renamed'} contains study 'tiny'" in refused(6, "resume", "renamed")
    assert started == []
    assert (runs / "tiny").exists() == is_copy
