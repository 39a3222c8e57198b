"""`search resume` goes on with a study as it was started, and keeps no password."""

import errno
import json
import os
import shlex
import shutil
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from search.commands.run import run
from search.run_command import RunCommand
from search.saved_command import load_command, save_command, storage_of
from spaces.errors import OutputError
from studies import Study
from studies.database.study_control import request_stop
from studies.database.tables import STUDIES
from studies.database.urls import sqlite_url
from tests.support import fake_events
from tests.support.fakes import joined, opened_tiny, run_tiny

SPACE = "from spaces import *\nfrom studies import Study\nspace = Space(data=Digits())\nstudy = Study(trials=5)\n"


@pytest.fixture
def started(tmp_path, search, fake_run):
    """A study `tiny` that was started with a space file in this folder; returns the calls that follow."""
    Path("tiny.py").write_text(SPACE)
    calls = fake_run()
    assert search("run", "tiny.py", "--seed", 3, "--timeout", "30m", "--cache", tmp_path / "c").exit_code == 0
    opened_tiny(tmp_path / "runs" / "tiny", Study(trials=5, seed=3))
    calls.clear()
    return calls


def wanted(tmp_path):
    """The number of trials in the database."""
    opened = sa.create_engine(sqlite_url(tmp_path / "runs" / "tiny" / "study.db"))
    with opened.connect() as connection:
        return connection.scalar(sa.select(STUDIES.c.trial_budget))


def test_a_study_goes_on_as_it_was_started(search, started):
    """Space, settings and folders are those that were typed; what is typed now comes in their place."""
    assert search("resume", "tiny", "--timeout", "1h").exit_code == 0
    declared, settings, output, export = started[0]
    assert (declared.name, settings.seed, settings.timeout, settings.trials) == ("tiny", 3, 3600, 5)
    assert (output, export) == (Path("runs"), True)


@pytest.mark.parametrize(("typed", "trials"), [("+50", 55), ("7", 7), (None, 5)])
def test_more_trials(search, started, typed, trials):
    """`+50` adds to what the study has, a number stands for all of them."""
    assert search("resume", "tiny", *(["--trials", typed] if typed else [])).exit_code == 0
    assert started[0][1].trials == trials


def test_more_trials_are_for_all_who_work_on_it(search, started, tmp_path):
    """While others are at work the number is raised at once for them too; a smaller one changes nothing."""
    opened = opened_tiny(tmp_path / "runs" / "tiny", Study(trials=5, seed=3))
    queue = joined(opened, Study(trials=5))
    done = search("resume", "tiny", "--trials", "+50", "--quiet")
    assert (wanted(tmp_path), started[-1][1].trials) == (55, 55)
    assert "also for the" not in done.stdout
    assert "also for the 1 worker at work" in search("resume", "tiny", "--trials", "60").stdout
    assert wanted(tmp_path) == 60
    assert "a smaller number has no effect" in search("resume", "tiny", "--trials", "9").stdout
    assert (wanted(tmp_path), started[-1][1].trials) == (60, 60)
    queue.worker.deregister(opened.database)


def test_trials_that_have_ended_are_kept(search, started, tmp_path):
    """A number below theirs is raised to it, which is said, and `search status` counts no more than there are."""
    run_tiny(tmp_path / "runs" / "tiny", Study(trials=2, seed=3))
    done = search("resume", "tiny", "--trials", "1")
    assert "keeps the 2 trials that have ended, and evaluates no other" in done.stdout
    assert started[0][1].trials == 2


def test_a_study_that_is_being_ended_is_left_alone(search, started, tmp_path):
    """Whoever would join the workers that are ending would end at once: the message says to wait."""
    opened = opened_tiny(tmp_path / "runs" / "tiny", Study(trials=5, seed=3))
    joined(opened, Study(trials=5))
    request_stop(opened.database, opened.study_id)
    done = search("resume", "tiny", "--trials", "+5")
    assert done.exit_code == 6
    assert "is stopping (`search stop`); 1 worker still running" in done.stderr
    assert wanted(tmp_path) == 5


@pytest.mark.parametrize("typed", ["2147483647", "+2147483642"])
def test_a_study_has_room_for_so_many_trials(search, started, typed):
    """The number of trials is one that every database can hold; one more is refused, also as a sum."""
    assert search("resume", "tiny", "--trials", typed).exit_code == 0
    assert started[0][1].trials == 2**31 - 1
    done = search("resume", "tiny", "--trials", "+2147483643")
    assert done.exit_code == 2
    assert "at most 2147483647 trials, got 5 and +2147483643 more" in done.stderr


@pytest.mark.parametrize("typed", ["0", "+0", "-1", "many", "+", "1.5", "2147483648", "+" + "9" * 5000])
def test_wrong_numbers_of_trials_end_with_2(search, typed):
    """A number of trials, or more of them, and nothing else."""
    done = search("resume", "tiny", "--trials", typed)
    assert done.exit_code == 2
    assert "--trials" in done.stderr


def test_a_space_that_is_gone_is_told(search, started):
    """One message names the file."""
    Path("tiny.py").unlink()
    done = search("resume", "tiny")
    assert done.exit_code == 3
    assert done.stderr.splitlines() == [
        f"error: the space of study 'tiny' is gone: put {Path('tiny.py').absolute()} back"
    ]


def test_studies_that_were_not_started_here_are_told(search, started, tmp_path):
    """Another machine has no command to repeat; the message says what to type there."""
    done = search("resume", "absent")
    assert done.exit_code == 6
    assert "search run SPACE --storage URL" in done.stderr
    (tmp_path / "runs" / "tiny" / "command.json").write_text("{}")
    assert "cannot be read" in search("resume", "tiny").stderr
    (tmp_path / "runs" / "tiny" / "command.json").unlink()
    assert "which says how the study was started" in search("resume", "tiny").stderr


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ({"format": 2}, "format must be 1"),
        ({"study": 7}, "study cannot be 7"),
        ({"study": "../x"}, "study must be a name"),
        ({"storage": ["x"]}, "storage cannot be"),
        ({"folder": None}, "folder cannot be None"),
        ({"more": 1}, "'more' is not known"),
        ({"run": []}, "run cannot be []"),
        ({"run": {}}, "'target' is missing"),
        ({"target": 3}, "target cannot be 3"),
        ({"output": None}, "output cannot be None"),
        ({"settings": {"bogus": 1}}, "there is no setting 'bogus'"),
        ({"settings": {"trials": "many"}}, "trials: got 'many', expected"),
        ({"settings": {"timeout": {}}}, "timeout: got {}, expected a duration"),
    ],
)
def test_a_damaged_command_is_told(search, started, tmp_path, damage, named):
    """Whatever stands in the file in place of a call is named, with the command that needs none."""
    file = tmp_path / "runs" / "tiny" / "command.json"
    form = json.loads(file.read_text())
    inside = damage if damage.keys() & form["run"].keys() else {}
    file.write_text(json.dumps({**form, "run": {**form["run"], **inside}} | ({} if inside else damage)))
    done = search("resume", "tiny")
    assert done.exit_code == 6
    assert named in done.stderr
    assert "search run SPACE --study NAME" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_settings_of_earlier_releases_keep_their_meaning(search, started, tmp_path):
    """A stored setting that has another name by now is read under the new one."""
    file = tmp_path / "runs" / "tiny" / "command.json"
    form = json.loads(file.read_text())
    file.write_text(json.dumps({**form, "run": {**form["run"], "settings": {"worker_memory": "x"}}}))
    assert "max_worker_memory: got 'x', expected a size" in search("resume", "tiny").stderr


@pytest.mark.parametrize("text", ["[]", "7", "null", "[" * 100_000, "{"])
def test_a_command_that_is_no_record_is_told(search, started, tmp_path, text):
    """A file of another kind is one message too."""
    (tmp_path / "runs" / "tiny" / "command.json").write_text(text)
    done = search("resume", "tiny")
    assert done.exit_code == 6
    assert "cannot be read" in done.stderr


def test_it_goes_on_from_another_folder(search, started, tmp_path, monkeypatch):
    """The study may be given by its folder; the commands that are shown hold whole paths then."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    done = search("resume", tmp_path / "runs" / "tiny")
    assert done.exit_code == 0
    assert started[0][0].folder == tmp_path
    assert f"--output {tmp_path / 'runs'}" in done.stdout


def test_paths_are_kept_without_detours(search, started, tmp_path, monkeypatch):
    """A folder given as `../runs/tiny` is the same one, also where it is stored and shown."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    file = tmp_path / "runs" / "tiny" / "command.json"
    form = json.loads(file.read_text())
    file.write_text(json.dumps({**form, "run": {**form["run"], "target": "elsewhere/../tiny.py"}}))
    done = search("resume", "../runs/tiny")
    assert done.exit_code == 0
    assert done.stdout.startswith(f"search {tmp_path / 'tiny.py'}: ")
    assert started[0][2] == tmp_path / "runs"
    assert "/.." not in done.stdout + file.read_text()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert "/.." not in search("status", "../runs/tiny").stdout.splitlines()[0]
    monkeypatch.chdir(tmp_path / "runs" / "tiny")
    assert search("resume", ".").exit_code == 0
    assert started[1][2] == tmp_path / "runs"


@pytest.mark.parametrize("beside", [True, False])
def test_a_renamed_folder_does_not_go_on_elsewhere(search, started, tmp_path, beside):
    """It would go on in a folder of the study's name: in a new study, or in the one that this is a copy of."""
    runs = tmp_path / "runs"
    shutil.copytree(runs / "tiny", runs / "renamed")
    if not beside:
        shutil.rmtree(runs / "tiny")
    done = search("resume", "renamed")
    assert done.exit_code == 6
    assert f"the folder {runs / 'renamed'} holds study 'tiny'" in done.stderr
    assert started == []
    assert (runs / "tiny").exists() == beside


def test_a_link_to_the_folder_goes_on(search, started, tmp_path):
    """A link with another name leads to the study's own folder."""
    (tmp_path / "runs" / "alias").symlink_to(tmp_path / "runs" / "tiny")
    assert search("resume", "alias").exit_code == 0
    assert started[0][2] == Path("runs")


def test_a_folder_that_is_gone_is_told(search, started, tmp_path, monkeypatch):
    """A study whose files were moved is started anew from where they are."""
    file = tmp_path / "runs" / "tiny" / "command.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "folder": str(tmp_path / "gone")}))
    assert "is gone: give the whole command" in search("resume", "tiny").stderr


def test_a_refused_call_is_not_kept(monkeypatch, tmp_path):
    """Only a call whose study could be opened takes the place of the earlier one."""
    monkeypatch.chdir(tmp_path)

    def refuse(*words, **options):
        raise KeyError

    monkeypatch.setitem(sys.modules, "studies.run", fake_events.module("studies.run", run=refuse))
    with pytest.raises(KeyError):
        run(RunCommand("digits"), {}, quiet=True, debug=False)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("url", "stored"),
    [
        (
            "postgresql+psycopg://me:s3cr3t@host:5432/db?sslmode=verify-full",
            "postgresql+psycopg://me@host:5432/db?sslmode=verify-full",
        ),
        ("mysql+pymysql://me@host/db?password=s3cr3t&ssl_ca=ca.pem", "mysql+pymysql://me@host/db?ssl_ca=ca.pem"),
        ("mysql+pymysql://me:x/@s3cr3t@host/db", None),
        ("postgresql+psycopg://me:s3cr3t/", None),
        ("postgresql+psycopg://host/db", "postgresql+psycopg://host/db"),
    ],
)
def test_no_password_is_kept(tmp_path, monkeypatch, url, stored):
    """What of a URL may be a password is left out; a later command takes the rest, or what is typed then."""
    monkeypatch.chdir(tmp_path)
    settings = {"storage": url, "checkpoints": "s3://key:s3cr3t@bucket/x"}
    save_command(RunCommand("digits", settings), "digits", url)
    assert "s3cr3t" not in (tmp_path / "runs/digits/command.json").read_text()
    known = load_command(Path("runs/digits"))
    assert known.storage == stored
    assert known.had_secrets == ("s3cr3t" in url)
    assert known.command.settings == {"checkpoints": "s3://key@bucket/x"}
    assert storage_of("digits", Path("runs"), None) == stored
    assert storage_of("digits", Path("runs"), "sqlite:///x.db") == "sqlite:///x.db"


def test_calls_come_back_as_they_were_typed(tmp_path, monkeypatch):
    """A call that was kept says the same command again."""
    monkeypatch.chdir(tmp_path)
    call = RunCommand(
        "my space.py", {"trials": 9, "name": "a", "timeout": "1h"}, Path("there"), False, "my photos", Path("c")
    )
    save_command(call, "a", None)
    assert load_command(Path("there/a")).command == call
    assert shlex.split(call.rerun_command())[2] == "my space.py"


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    """What could not be written whole is removed, and the call before it stays."""
    save_command(RunCommand("digits", {}, tmp_path, True), "digits", None)

    def full(part, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OutputError, match=r"No space left on device: give another --output"):
        save_command(RunCommand("digits", {"trials": 3}, tmp_path, True), "digits", None)
    assert [file.name for file in (tmp_path / "digits").iterdir()] == ["command.json"]
    assert load_command(tmp_path / "digits").command.settings == {}


def test_what_a_killed_process_left_is_removed(tmp_path):
    """Once it is so old that nobody can be at work on it."""
    old, new = (tmp_path / "digits" / f".command.json.{number}" for number in (1, 2))
    old.parent.mkdir()
    for file in (old, new):
        file.write_text("{")
    os.utime(old, (0, 0))
    save_command(RunCommand("digits", {}, tmp_path, True), "digits", None)
    assert not old.exists()
    assert new.exists()
