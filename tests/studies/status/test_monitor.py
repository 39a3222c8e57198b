"""Looking at a study from outside."""

from dataclasses import replace

import pytest

from studies import Study
from studies.database.lost_workers import mark_process_lost
from studies.database.study_control import Limits, read_control, request_stop, set_limits
from studies.database.urls import sqlite_url
from studies.database.workers import WorkerActivity, send_heartbeat
from studies.status.monitor import StudyMonitor
from tests.support.fakes import joined, opened_tiny, run_tiny, taken_from

SETTINGS = Study(trials=4, sampler="random", pruner="none")


def looking(folder):
    """Looks at the study of the tests."""
    return StudyMonitor(sqlite_url(folder / "study.db"), "tiny")


def test_a_study_that_is_not_there_is_waited_for(tmp_path):
    """Before the first worker has opened the study there is nothing to see, and nothing is created."""
    seen = looking(tmp_path)
    assert seen.look() is None
    assert not (tmp_path / "study.db").exists()
    run_tiny(tmp_path, SETTINGS)
    assert seen.look().progress.done == 4


def test_workers_and_trials_are_seen(tmp_path):
    """A snapshot has what each worker does, which trials have ended in which order, and the progress."""
    run_tiny(tmp_path, SETTINGS)
    opened = opened_tiny(tmp_path, replace(SETTINGS, trials=6))
    queue = joined(opened, SETTINGS)
    taken = taken_from(opened.study, queue)
    activity = WorkerActivity("training", taken.number, 2, 9, 0.75)
    opened.database.run(lambda connection: send_heartbeat(connection, queue.worker, activity))
    now = looking(tmp_path).look()
    (worker,) = now.workers
    assert (worker.is_alive, worker.trial_number, worker.epoch, worker.epochs, worker.metric_value) == (
        True,
        4,
        2,
        9,
        0.75,
    )
    assert worker.finished_trials == 0
    assert [trial.number for trial in now.ended] == [0, 1, 2, 3]
    assert (now.progress.done, now.progress.trials) == (4, 6)


def test_a_dead_process_is_given_up_at_once(tmp_path):
    """Whoever started it does not wait for its silence: its trial waits for others, and it is shown as lost."""
    opened = opened_tiny(tmp_path, SETTINGS)
    queue = joined(opened, SETTINGS)
    taken_from(opened.study, queue)
    seen = looking(tmp_path)
    pid = seen.look().workers[0].pid
    seen.give_up(pid)
    assert not seen.look().workers[0].is_alive
    other = joined(opened, SETTINGS)
    claim = other.claim()
    assert (claim.number, claim.attempt) == (0, 2)


def test_process_of_another_machine_is_not_marked_lost(tmp_path):
    """A process id identifies a worker on its own machine only."""
    opened = opened_tiny(tmp_path, SETTINGS)
    joined(opened, SETTINGS)
    pid = looking(tmp_path).look().workers[0].pid
    opened.database.run(lambda connection: mark_process_lost(connection, opened.study_id, pid, on="elsewhere"))
    assert looking(tmp_path).look().workers[0].is_alive


def test_a_database_that_is_away_leaves_the_last_look(tmp_path):
    """What was seen last stays until the database is there again."""
    run_tiny(tmp_path, SETTINGS)
    seen = looking(tmp_path)
    before = seen.look()
    (tmp_path / "study.db").rename(tmp_path / "away")
    seen._study.database.engine.dispose()
    assert seen.look() is before


def test_the_last_look_is_after_the_end(tmp_path):
    """What workers wrote last is seen, however soon they ended after the look before."""
    seen = looking(tmp_path)
    with seen.resumed():
        run_tiny(tmp_path, SETTINGS)
    assert seen.latest.progress.done == 4


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_replacement_keeps_the_limits_of_the_study(tmp_path, goes_on):
    """With nobody at work for a moment, a replaced process sets no new time limit and takes no end back."""
    opened = opened_tiny(tmp_path, SETTINGS)
    set_limits(opened.database, opened.study_id, Limits(4, timeout_seconds=100.0))
    first = read_control(opened.database, opened.study_id).deadline
    request_stop(opened.database, opened.study_id)
    set_limits(
        opened.database, opened.study_id, Limits(5, timeout_seconds=900.0), is_restart=goes_on, age_seconds=lambda: 0.0
    )
    row = read_control(opened.database, opened.study_id)
    assert (row.deadline == first, row.stop_reason is not None) == (goes_on, goes_on)
    assert row.trial_budget == 5
