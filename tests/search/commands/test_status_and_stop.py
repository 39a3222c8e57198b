"""`search status`, `search workers` and `search stop` work from anywhere."""

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
from studies.database.workers import WorkerActivity, WorkerRegistration
from studies.outcome import Activity
from studies.stop_request import StopReason
from tests.support.fakes import beat, change, claim_trial, joined, opened_tiny, run_tiny

SETTINGS = Study(trials=5, pruner="none", sampler="random")


@pytest.fixture
def running(folder):
    """A study of five trials: two are done, a running worker trains the third, and another worker is lost."""
    opened = opened_tiny(folder, SETTINGS)
    run_tiny(folder, Study(trials=2, pruner="none", sampler="random"))
    set_limits(opened.database, opened.study_id, Limits(5, timeout_seconds=3600))
    queue, lost = joined(opened, SETTINGS), WorkerRegistration(opened.study_id, "GPU 7")
    lost.register(opened.database)
    trial = claim_trial(opened.study, queue)
    beat(opened, queue, WorkerActivity(Activity.TRAINING, trial.number, 3, 9, 0.5))
    silent = sa.update(WORKERS).where(WORKERS.c.worker_id == lost.worker_id)
    change(opened, silent.values(heartbeat_at=WORKERS.c.started_at - 60))
    return opened, queue


def status(search):
    """The status of the study as JSON."""
    return json.loads(search("status", "tiny", "--json").stdout)


def test_status_lists_the_studies_of_a_folder(search, folder, running):
    """Each study below the output folder has a line: trials by state, best, workers."""
    other = folder.parent / "other"
    other.mkdir()
    opened_tiny(other, SETTINGS, name="other")
    shown = search("status").stdout.splitlines()
    assert [line.split()[:2] for line in shown[1:]] == [["other", "0/5"], ["tiny", "2/5"]]
    row = json.loads(search("status", "--json").stdout)[1]
    assert (row["states"], row["alive"], row["trials"]) == ({"complete": 2, "running": 1}, 1, 5)
    assert 0 < row["best"] < 1


@pytest.mark.parametrize("is_only", [True, False])
@pytest.mark.parametrize("kind", ["old version", "no database"])
def test_an_unreadable_study_is_named(search, folder, is_only, kind):
    """It is listed below the others with its path; alone it is an error."""
    old = folder.parent / "an old one"
    old.mkdir()
    if kind == "old version":
        change(opened_tiny(old, SETTINGS), sa.update(VERSION).values(version=SCHEMA_VERSION - 1))
    else:
        (old / "study.db").write_text("dear diary " * 100)
    if not is_only:
        opened_tiny(folder, SETTINGS)
    done = search("status")
    assert done.exit_code == (6 if is_only else 0)
    assert str(old / "study.db") in done.output
    assert is_only or "tiny" in done.stdout.splitlines()[1]


def test_status_shows_a_running_study(search, running):
    """Workers, trials by state, limit, best, baseline, next commands, and the time left at the present throughput."""
    opened, queue = running
    mine = sa.update(WORKERS).where(WORKERS.c.worker_id == queue.worker.worker_id)
    change(opened, mine.values(started_at=WORKERS.c.started_at - 3600))
    shown = search("status", "tiny").stdout
    for fragment in ("1 running, 1 lost", "2 of 5: 2 complete, 0 pruned, 0 failed, 1 running", "time limit in"):
        assert fragment in shown
    assert "search workers tiny" in shown
    record = status(search)
    assert record["trials"] == {"all": 5, "complete": 2, "pruned": 0, "failed": 0, "running": 1, "waiting": 0}
    assert (record["metric"], record["direction"]) == ("val_accuracy", "maximize")
    assert record["best"]["value"] >= record["baseline"]
    assert 3500 < record["deadline_seconds"] <= 3600
    assert record["trials_per_hour"] == pytest.approx(2.0, rel=0.05)
    assert record["seconds_left"] == pytest.approx(3 / 2 * 3600, rel=0.05)


def test_status_shows_an_idle_study(search, folder):
    """It has no throughput; the export and the command that resumes are shown."""
    run_tiny(folder, Study(trials=2, pruner="none", sampler="random"))
    opened = opened_tiny(folder, SETTINGS)
    shown = search("status", "tiny").stdout
    assert ["none running" in shown, "search resume tiny" in shown, "throughput" in shown] == [True, True, False]
    worker = joined(opened, SETTINGS).worker
    claim = claim_export(opened.database, opened.study_id, worker.worker_id)
    worker.deregister(opened.database)
    release_export(opened.database, claim, {"trial": [1, 2], "host": "node7", "folder": "/there/best"})
    assert "/there/best on node7 (trial 1)" in search("status", "tiny").stdout


def test_workers_are_listed_with_their_activity(search, running):
    """Host, process, device, state, trial, epoch, value and last heartbeat; ended ones on request."""
    shown = search("workers", "tiny").stdout
    assert "training trial 2, epoch 3 of 9, 0.5000" in shown
    assert "GPU 7" in shown
    for options, ended in ([], []), (["--include-ended"], ["ended"]), (["--all"], ["ended"]):
        rows = json.loads(search("workers", "tiny", "--json", *options).stdout)
        assert sorted(row["state"] for row in rows) == ["alive", *ended, "lost"]
        assert all(row["pid"] and row["host"] and row["heartbeat_seconds"] >= 0 for row in rows)


def test_read_only_commands_write_nothing(search, folder, running):
    """Neither the database nor the state of the lost worker changes."""

    def content():
        with sqlite3.connect(folder / "study.db") as connection:
            return list(connection.iterdump())

    before = content()
    for words in (["status"], ["status", "tiny"], ["workers", "tiny"], ["trials", "tiny"]):
        assert search(*words).exit_code == 0
    assert content() == before


def test_a_read_only_folder_is_read(search, folder, monkeypatch):
    """A study on a read-only disk is shown, and no file appears next to it."""
    run_tiny(folder, Study(trials=2, pruner="none"))
    before = sorted(folder.iterdir())
    # File permissions do not stop root.
    refusing = SimpleNamespace(access=lambda path, mode: False, W_OK=os.W_OK)
    monkeypatch.setattr("studies.database.connection.os", refusing)
    assert "2 complete" in search("status", "tiny").stdout
    assert set(folder.iterdir()) <= set(before)


def test_stop_waits_for_the_workers(folder, running, capsys):
    """It ends when the last worker has left; after the waiting time the error shows what the others do."""
    opened, queue = running
    seconds, waited = iter(range(100)), []
    with pytest.raises(StudyError, match=r"1 of 1 worker still running after 3s:\n.*training"):
        stop_study("tiny", folder.parent, None, wait_seconds=3, sleep=lambda _: None, clock=lambda: next(seconds))

    def leave(seconds):
        waited.append(seconds)
        row = opened.database.read(lambda connection: connection.execute(sa.select(STUDIES)).one())
        assert row.stop_reason == StopReason.STUDY_STOPPED
        queue.worker.deregister(opened.database)

    stop_study("tiny", folder.parent, None, wait_seconds=30, sleep=leave)
    shown = capsys.readouterr().out
    assert all(fragment in shown for fragment in ("1 worker", "all stopped", "2 of 5 done", "search resume tiny"))
    assert len(waited) == 1


@pytest.mark.parametrize("reason", [StopReason.STUDY_STOPPED, "\x1b[31m[bold]me"])
def test_stop_without_waiting(search, running, reason):
    """`--no-wait` sends the request and returns; the status shows it, also for a reason that it does not know."""
    assert "1 worker" in search("stop", "tiny", "--no-wait").stdout
    change(running[0], sa.update(STUDIES).values(stop_reason=reason))
    assert "requested by `search stop`; workers are stopping" in search("status", "tiny").stdout
    assert status(search)["stop"] == StopReason.STUDY_STOPPED


@pytest.mark.parametrize("command", ["status", "workers", "stop", "trials"])
def test_unusable_studies_end_with_6(refused, folder, command):
    """Unknown study, empty database, other schema version, unreachable server: one error names it."""
    assert "absent" in refused(6, command, "absent")
    (folder / "study.db").write_bytes(b"")
    assert str(folder / "study.db") in refused(6, command, "tiny")
    opened = opened_tiny(folder, SETTINGS)
    assert "tiny" in refused(6, command, "other", "--storage", sqlite_url(folder / "study.db"))
    for version in (SCHEMA_VERSION + 1, 4):
        change(opened, sa.update(VERSION).values(version=version))
        assert str(version) in refused(6, command, "tiny")
    assert "127.0.0.1" in refused(6, command, "tiny", "--storage", "postgresql+psycopg://u:s3cr3t@127.0.0.1:1/x")


def test_the_database_comes_from_the_environment(search, tmp_path, monkeypatch):
    """`SEARCH_STORAGE` replaces --storage, and the next commands leave it out."""
    opened_tiny(tmp_path, SETTINGS)
    monkeypatch.setenv("SEARCH_STORAGE", sqlite_url(tmp_path / "study.db"))
    assert "tiny" in search("status").stdout
    assert "search resume tiny\n" in search("status", "tiny").stdout
    monkeypatch.delenv("SEARCH_STORAGE")
    assert "--storage" in search("status", "tiny", "--storage", sqlite_url(tmp_path / "study.db")).stdout


def test_trials_show_their_attempts(search, folder, running):
    """A trial that was claimed again after its worker was lost shows how often; the CSV always does."""
    opened, queue = running
    assert "attempts" not in search("trials", "tiny").stdout
    queue.worker.deregister(opened.database)
    claim_trial(opened.study, joined(opened, SETTINGS))
    assert "attempts" in search("trials", "tiny").stdout.splitlines()[0]
    header, *rows = search("trials", "tiny", "--csv").stdout.splitlines()
    column = header.split(",").index("attempts")
    assert [row.split(",")[column] for row in rows] == ["1", "1", "2"]
