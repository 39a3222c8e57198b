"""Studies are seen and steered from anywhere: `search status`, `workers` and `stop`."""

import json
import os
import sqlite3
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from search.commands.stop import stop_study
from spaces.errors import StudyError
from studies import Study
from studies.database.study_control import Limits, claim_export, release_export, set_limits
from studies.database.tables import SCHEMA_VERSION, STUDIES, VERSION, WORKERS
from studies.database.urls import sqlite_url
from studies.database.workers import WorkerActivity, WorkerRegistration, send_heartbeat
from studies.stop_request import StopReason
from tests.support.fakes import joined, open_tiny, opened_tiny, run_tiny, taken_from

SETTINGS = Study(trials=5, pruner="none", sampler="random")


@pytest.fixture
def at_work(folder):
    """A study of five trials: two have ended, one is being trained by a worker that is alive, one worker is lost."""
    opened = opened_tiny(folder, SETTINGS)
    run_tiny(folder, Study(trials=2, pruner="none", sampler="random"))
    set_limits(opened.database, opened.study_id, Limits(5, timeout_seconds=3600))
    queue, lost = joined(opened, SETTINGS), WorkerRegistration(opened.study_id, "GPU 7")
    lost.register(opened.database)
    trial = taken_from(opened.study, queue)
    activity = WorkerActivity("training", trial.number, 3, 9, 0.5)
    opened.database.run(lambda connection: send_heartbeat(connection, queue.worker, activity))
    silent = sa.update(WORKERS).where(WORKERS.c.worker_id == lost.worker_id)
    opened.database.run(lambda connection: connection.execute(silent.values(heartbeat_at=WORKERS.c.started_at - 60)))
    return opened, queue


def test_all_studies_of_a_folder_are_listed(search, folder, at_work):
    """Without a name every study below the output folder has a line: trials by state, best, workers."""
    other = folder.parent / "other"
    other.mkdir()
    open_tiny(other, SETTINGS, name="other")
    shown = search("status").stdout.splitlines()
    assert [line.split()[:2] for line in shown[1:]] == [["other", "0/5"], ["tiny", "2/5"]]
    rows = json.loads(search("status", "--json").stdout)
    assert rows[1]["states"] == {"complete": 2, "running": 1}
    assert (rows[1]["alive"], rows[1]["trials"]) == (1, 5)
    assert 0 < rows[1]["best"] < 1


def test_a_study_that_cannot_be_read_hides_no_other(search, folder, at_work):
    """A broken file is named below those that can be read."""
    (folder.parent / "broken").mkdir()
    (folder.parent / "broken" / "study.db").write_text("dear diary " * 100)
    done = search("status")
    assert done.exit_code == 0
    assert "tiny" in done.stdout.splitlines()[1]
    assert "not a SQLite database" in done.stdout


@pytest.mark.parametrize("alone", [True, False])
def test_a_database_that_cannot_be_read_is_named(search, folder, alone):
    """Also where the message itself does not; the path is shown as it is."""
    old = folder.parent / "an old one"
    old.mkdir()
    opened = opened_tiny(old, SETTINGS)
    opened.database.run(lambda connection: connection.execute(sa.update(VERSION).values(version=SCHEMA_VERSION - 1)))
    if not alone:
        open_tiny(folder, SETTINGS)
    done = search("status")
    assert done.exit_code == (6 if alone else 0)
    assert f"{old / 'study.db'}: database schema version" in done.output
    (old / "study.db").write_bytes(b"")
    assert f"database {old / 'study.db'} has no studies yet" in search("status", "an old one").stderr


def test_a_study_says_how_it_stands(search, at_work):
    """Workers, trials by state, pace, time left, best and baseline, and what to type next."""
    shown = search("status", "tiny").stdout
    assert "1 alive, 1 lost" in shown
    assert "2 of 5: 2 complete, 0 pruned, 0 failed; 1 running" in shown
    assert "the time limit" in shown
    assert "search workers tiny" in shown
    form = json.loads(search("status", "tiny", "--json").stdout)
    assert form["trials"] == {"all": 5, "complete": 2, "pruned": 0, "failed": 0, "running": 1, "waiting": 0}
    assert (form["metric"], form["direction"]) == ("val_accuracy", "maximize")
    assert form["best"]["value"] >= form["baseline"]
    assert 3500 < form["deadline_seconds"] <= 3600


def test_time_left_follows_from_the_pace(search, at_work):
    """The pace is that of the trials that ended while the present workers were at work."""
    opened, queue = at_work
    longer = sa.update(WORKERS).where(WORKERS.c.worker_id == queue.worker.worker_id)
    opened.database.run(lambda connection: connection.execute(longer.values(started_at=WORKERS.c.started_at - 3600)))
    form = json.loads(search("status", "tiny", "--json").stdout)
    assert form["trials_per_hour"] == pytest.approx(2.0, rel=0.05)
    assert form["seconds_left"] == pytest.approx(3 / 2 * 3600, rel=0.05)


def test_nobody_at_work_has_no_pace(search, folder):
    """A study that rests has no pace, and says how to go on."""
    run_tiny(folder, Study(trials=2, pruner="none", sampler="random"))
    opened = opened_tiny(folder, SETTINGS)
    shown = search("status", "tiny").stdout
    assert "none alive" in shown
    assert "pace" not in shown
    assert "search resume tiny" in shown
    member = joined(opened, SETTINGS).worker
    claim = claim_export(opened.database, opened.study_id, member.worker_id)
    member.deregister(opened.database)
    release_export(opened.database, claim, {"trial": [1, 2], "host": "node7", "folder": "/there/best"})
    assert "/there/best on node7 (trial 1)" in search("status", "tiny").stdout


def test_workers_say_what_they_do(search, at_work):
    """Each worker has its host, process, device, state, trial, epoch, value and last heartbeat."""
    shown = search("workers", "tiny").stdout
    assert "training trial 2, epoch 3 of 9, 0.5000" in shown
    assert "GPU 7" in shown
    rows = json.loads(search("workers", "tiny", "--json").stdout)
    assert sorted(row["state"] for row in rows) == ["alive", "lost"]
    assert all(row["pid"] and row["host"] and row["heartbeat_seconds"] >= 0 for row in rows)
    everyone = json.loads(search("workers", "tiny", "--json", "--all").stdout)
    assert sorted(row["state"] for row in everyone) == ["alive", "ended", "lost"]


def test_seeing_writes_nothing(search, folder, at_work):
    """Neither the database nor the lost worker's state changes while it is looked at."""

    def content():
        with sqlite3.connect(folder / "study.db") as connection:
            return list(connection.iterdump())

    before = content()
    for words in (["status"], ["status", "tiny"], ["workers", "tiny"], ["trials", "tiny"]):
        assert search(*words).exit_code == 0
    assert content() == before


def test_a_folder_that_cannot_be_written_is_read(search, folder, monkeypatch):
    """A study on a read-only disk is listed, and no file appears beside it."""
    run_tiny(folder, Study(trials=2, pruner="none"))
    before = sorted(folder.iterdir())
    # A real one stops nobody who is root.
    monkeypatch.setattr(
        "studies.database.connection.os", SimpleNamespace(access=lambda path, mode: False, W_OK=os.W_OK)
    )
    assert "2 complete" in search("status", "tiny").stdout
    assert set(folder.iterdir()) <= set(before)


def test_stop_waits_until_the_workers_have_ended(search, folder, at_work, capsys):
    """The workers are asked, and the command ends when the last one has left."""
    opened, queue = at_work
    waited = []

    def leave(seconds):
        waited.append(seconds)
        row = opened.database.read(lambda connection: connection.execute(sa.select(STUDIES)).one())
        assert row.stop_reason == StopReason.STUDY_STOPPED
        queue.worker.deregister(opened.database)

    stop_study("tiny", folder.parent, None, wait_seconds=30, sleep=leave)
    shown = capsys.readouterr().out
    assert "asked 1 worker to end" in shown
    assert "none is alive any more" in shown
    assert "2 of 5 have ended, 3 to go" in shown
    assert len(waited) == 1


def test_workers_that_do_not_end_are_named(folder, at_work):
    """After the time to wait the command ends with an error that says what they are doing."""
    seconds = iter(range(100))
    with pytest.raises(StudyError, match=r"1 of 1 worker are still running after 3s:\n.*training"):
        stop_study("tiny", folder.parent, None, wait_seconds=3, sleep=lambda _: None, clock=lambda: next(seconds))


def test_stop_without_waiting(search, at_work):
    """`--no-wait` asks and leaves."""
    done = search("stop", "tiny", "--no-wait")
    assert done.exit_code == 0
    assert "asked 1 worker" in done.stdout
    assert "asked for by `search stop`: the workers are ending" in search("status", "tiny").stdout


def test_stop_with_nobody_alive_says_so(search, folder):
    """There is nothing to end, which is no error."""
    open_tiny(folder, SETTINGS)
    done = search("stop", "tiny")
    assert done.exit_code == 0
    assert "none is alive" in done.stdout


@pytest.mark.parametrize("command", ["status", "workers", "stop", "trials"])
def test_what_cannot_be_steered_is_told(search, folder, command):
    """No such study, other tables, an empty database and no database at all each have one message and the code 6."""

    def refused(*words):
        done = search(command, *words)
        assert done.exit_code == 6
        assert len(done.stderr.splitlines()) <= 2
        return done.stderr

    assert "study 'absent' not found in runs" in refused("absent")
    (folder / "study.db").write_bytes(b"")
    assert "has no studies yet" in refused("tiny")
    opened = opened_tiny(folder, SETTINGS)
    assert "existing studies: tiny" in refused("other", "--storage", sqlite_url(folder / "study.db"))
    for version, word in ((SCHEMA_VERSION + 1, "hint: upgrade search"), (4, "hint: use a new database")):
        change = sa.update(VERSION).values(version=version)
        opened.database.run(lambda connection, change=change: connection.execute(change))
        assert word in refused("tiny")
    assert "127.0.0.1" in refused("tiny", "--storage", "postgresql+psycopg://u:s3cr3t@127.0.0.1:1/x")


def test_the_database_comes_from_the_environment(search, tmp_path, monkeypatch):
    """`SEARCH_STORAGE` stands for --storage, and the commands to type next leave it out."""
    open_tiny(tmp_path, SETTINGS)
    monkeypatch.setenv("SEARCH_STORAGE", sqlite_url(tmp_path / "study.db"))
    assert "tiny" in search("status").stdout
    assert "search resume tiny\n" in search("status", "tiny").stdout
    monkeypatch.delenv("SEARCH_STORAGE")
    assert "--storage" in search("status", "tiny", "--storage", sqlite_url(tmp_path / "study.db")).stdout


def test_trials_tell_their_worker_and_attempts(search, folder, at_work):
    """A trial that was taken again after its worker was lost says so."""
    opened, queue = at_work
    assert "taken" not in search("trials", "tiny").stdout.splitlines()[0]
    queue.worker.deregister(opened.database)
    taken_from(opened.study, joined(opened, SETTINGS))
    table = search("trials", "tiny").stdout.splitlines()
    assert "taken" in table[0]
    assert "2x" in table[3]
    header, *rows = search("trials", "tiny", "--csv").stdout.splitlines()
    place = header.split(",").index("attempts")
    assert [row.split(",")[place] for row in rows] == ["1", "1", "2"]


def test_unknown_stop_reasons_are_never_shown(search, folder, at_work):
    """A reason that this version does not know counts as a stop of the study, whatever text the database holds."""
    opened, _ = at_work
    poison = sa.update(STUDIES).values(stop_reason="\x1b[31m[bold]me")
    opened.database.run(lambda connection: connection.execute(poison))
    assert "asked for by `search stop`" in search("status", "tiny").stdout
    assert json.loads(search("status", "tiny", "--json").stdout)["stop"] == StopReason.STUDY_STOPPED
