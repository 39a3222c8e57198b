"""Monitoring a study."""

from dataclasses import replace

import pytest

from studies import Study
from studies.database.lost_workers import mark_process_lost
from studies.database.study_control import Limits, read_control, request_stop, set_limits
from studies.database.urls import sqlite_url
from studies.database.workers import WorkerActivity
from studies.outcome import Activity
from studies.status.monitor import StudyMonitor
from tests.support.fakes import beat, claim_trial, joined, opened_tiny, run_tiny

SETTINGS = Study(trials=4, sampler="random", pruner="none")


def monitor_of(folder):
    """Return a monitor of the test study."""
    return StudyMonitor(sqlite_url(folder / "study.db"), "tiny")


def test_monitor_waits_for_missing_study(tmp_path):
    """It creates nothing before a worker has created the study."""
    seen = monitor_of(tmp_path)
    assert seen.refresh() is None
    assert not (tmp_path / "study.db").exists()
    run_tiny(tmp_path, SETTINGS)
    assert seen.refresh().progress.done == 4


def test_snapshot_has_workers_and_trials(tmp_path):
    """It holds activities, finished trials in order, and the progress."""
    run_tiny(tmp_path, SETTINGS)
    opened = opened_tiny(tmp_path, replace(SETTINGS, trials=6))
    queue = joined(opened, SETTINGS)
    taken = claim_trial(opened.study, queue)
    activity = WorkerActivity(Activity.TRAINING, taken.number, 2, 9, 0.75)
    beat(opened, queue, activity)
    now = monitor_of(tmp_path).refresh()
    (worker,) = now.workers
    assert (worker.is_alive, worker.finished_trials) == (True, 0)
    assert (worker.trial_number, worker.epoch, worker.epochs, worker.metric_value) == (4, 2, 9, 0.75)
    assert [trial.number for trial in now.ended] == [0, 1, 2, 3]
    assert (now.progress.done, now.progress.trials) == (4, 6)


def test_dead_process_is_marked_lost_at_once(tmp_path):
    """The supervisor need not wait for the timeout; the trial is requeued."""
    opened = opened_tiny(tmp_path, SETTINGS)
    queue = joined(opened, SETTINGS)
    claim_trial(opened.study, queue)
    seen = monitor_of(tmp_path)
    pid = seen.refresh().workers[0].pid
    seen.report_dead_process(pid)
    assert not seen.refresh().workers[0].is_alive
    other = joined(opened, SETTINGS)
    claim = other.claim()
    assert (claim.number, claim.attempt) == (0, 2)


def test_process_of_another_machine_is_not_marked_lost(tmp_path):
    """A process id identifies a worker on its own machine only."""
    opened = opened_tiny(tmp_path, SETTINGS)
    joined(opened, SETTINGS)
    pid = monitor_of(tmp_path).refresh().workers[0].pid
    opened.database.run(lambda connection: mark_process_lost(connection, opened.study_id, pid, on="elsewhere"))
    assert monitor_of(tmp_path).refresh().workers[0].is_alive


def test_unreachable_database_keeps_last_snapshot(tmp_path):
    """The last snapshot stays until the database is reachable."""
    run_tiny(tmp_path, SETTINGS)
    seen = monitor_of(tmp_path)
    before = seen.refresh()
    (tmp_path / "study.db").rename(tmp_path / "away")
    seen._study.database.engine.dispose()
    assert seen.refresh() is before


def test_last_snapshot_follows_the_end(tmp_path):
    """The last writes of the workers are included."""
    seen = monitor_of(tmp_path)
    with seen.running():
        run_tiny(tmp_path, SETTINGS)
    assert seen.latest.progress.done == 4


@pytest.mark.parametrize("goes_on", [True, False])
def test_replacement_keeps_limits(tmp_path, goes_on):
    """A replaced process neither sets a new time limit nor clears a stop request."""
    opened = opened_tiny(tmp_path, SETTINGS)
    set_limits(opened.database, opened.study_id, Limits(4, timeout_seconds=100.0))
    first = read_control(opened.database, opened.study_id).deadline
    request_stop(opened.database, opened.study_id)
    limits = Limits(5, timeout_seconds=900.0)
    set_limits(opened.database, opened.study_id, limits, is_restart=goes_on, age_seconds=lambda: 0.0)
    row = read_control(opened.database, opened.study_id)
    assert (row.deadline == first, row.stop_reason is not None) == (goes_on, goes_on)
    assert row.trial_budget == 5
