"""Registration, heartbeats and lost workers, on every database."""

import time

import pytest
import sqlalchemy as sa
from optuna.trial import TrialState

from studies.database.claims import NoTrialLeft
from studies.database.tables import WORKERS
from studies.database.transactions import database_seconds
from studies.database.workers import WorkerActivity, WorkerRegistration, count_alive, read_workers
from studies.outcome import ALIVE, ENDED, LOST, Activity
from studies.settings import Study
from studies.stop_request import StopRequest
from studies.workers.heartbeat import worker_session
from tests.support.fakes import beat, joined, silence


def rows_of(opened):
    """Return the study's worker rows by id."""
    rows = opened.database.read(lambda connection: connection.execute(sa.select(WORKERS)).all())
    return {row.worker_id: row for row in rows}


def test_database_clock_advances_within_transaction(open_worker):
    """All workers share this clock: seconds since 1970, with fractions."""

    def read(connection):
        first = float(connection.scalar(sa.select(database_seconds())))
        time.sleep(0.05)
        return first, float(connection.scalar(sa.select(database_seconds())))

    first, second = open_worker().database.run(read)
    assert (abs(first - time.time()) < 5.0, 0.04 < second - first < 5.0) == (True, True)


@pytest.mark.parametrize(("value", "stored"), [(0.5, 0.5), (float("nan"), None), (float("inf"), None)])
def test_worker_row_follows_session(open_worker, value, stored):
    """The row holds device and activity, without values that not every database can store, and the end."""
    opened = open_worker()
    activity, member = WorkerActivity(Activity.TRAINING, 3, 2, 9, value), WorkerRegistration(opened.study_id, "GPU 0")
    with worker_session(opened.database, member, activity, StopRequest(), seconds=60.0) as member:
        row = rows_of(opened)[member.worker_id]
        assert (row.state, row.device) == (ALIVE, "GPU 0")
        activity = (row.activity, row.trial_number, row.epoch, row.epochs, row.metric_value)
        assert activity == ("training", 3, 2, 9, stored)
    assert rows_of(opened)[member.worker_id].state == ENDED


def test_heartbeat_marks_silent_worker_lost(open_worker):
    """Its trial is requeued, and it is alive again once it returns; a worker that is late but in time stays alive."""
    opened = open_worker(2)
    crew = lost, late, other = [joined(opened, Study()) for _ in range(3)]
    lost.claim(), late.claim()
    silence(opened, lost)
    silence(opened, late, seconds=8.0)
    beat(opened, other)
    assert [rows_of(opened)[each.worker.worker_id].state for each in crew] == [LOST, ALIVE, ALIVE]
    assert [trial.state for trial in opened.study.trials] == [TrialState.WAITING, TrialState.RUNNING]
    assert other.claim().number == 0
    beat(opened, lost)
    assert rows_of(opened)[lost.worker.worker_id].state == ALIVE


def test_claim_marks_silent_worker_lost(open_worker):
    """An idle worker takes over the trial without a heartbeat."""
    opened = open_worker(1)
    lost, other = joined(opened, Study()), joined(opened, Study())
    lost.claim()
    silence(opened, lost)
    assert (other.claim().number, other.claim()) == (0, NoTrialLeft(study_finished=False))


def test_lost_worker_is_read_as_lost_before_it_is_marked(open_worker):
    """Every view applies one rule, whether or not another worker has marked the row."""
    opened = open_worker()
    lost, alive = joined(opened, Study()), joined(opened, Study())
    silence(opened, lost)
    first, second = opened.database.read(lambda connection: read_workers(connection, opened.study_id))
    assert (first.worker_id, first.state, second.state) == (lost.worker.worker_id, LOST, ALIVE)
    assert first.heartbeat_seconds >= 11.0
    assert rows_of(opened)[lost.worker.worker_id].state == ALIVE
    assert opened.database.read(lambda connection: count_alive(connection, opened.study_id)) == 1
    assert beat(opened, alive).alive == 1
