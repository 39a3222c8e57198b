"""Who is alive, what each worker does, and that a silent one is noticed, on every store."""

import time

import sqlalchemy as sa
from optuna.trial import TrialState

from studies.database.claims import NoTrialLeft
from studies.database.tables import WORKERS
from studies.database.transactions import database_seconds
from studies.database.workers import (
    WorkerActivity,
    WorkerRegistration,
    count_alive,
    read_workers,
    send_heartbeat,
)
from studies.outcome import ALIVE, ENDED, LOST
from studies.settings import Study
from studies.stop_request import StopRequest
from studies.workers.heartbeat import worker_session
from tests.support.fakes import joined


def rows_of(opened):
    """The study's workers by their ids."""
    return {
        row.worker_id: row
        for row in opened.database.read(lambda connection: connection.execute(sa.select(WORKERS)).all())
    }


def silence(opened, queue, seconds):
    """Let a worker have been silent for so long."""
    mine = WORKERS.c.worker_id == queue.worker.worker_id
    change = sa.update(WORKERS).where(mine).values(heartbeat_at=database_seconds() - seconds)
    opened.database.run(lambda connection: connection.execute(change))


def test_the_databases_clock_counts_seconds_with_their_parts(open_worker):
    """It is the one clock that all workers share: seconds since 1970, to a few milliseconds."""
    opened = open_worker()
    first, second = (float(opened.database.read(lambda c: c.scalar(sa.select(database_seconds())))) for _ in range(2))
    assert abs(first - time.time()) < 5.0
    assert 0.0 <= second - first < 5.0
    assert (
        len({*(float(opened.database.read(lambda c: c.scalar(sa.select(database_seconds())))) % 1 for _ in range(9))})
        > 1
    )


def test_the_clock_goes_on_within_a_transaction(open_worker):
    """A transaction that waited for a lock must not take others for silent, or itself for punctual."""
    opened = open_worker()

    def twice(connection):
        first = float(connection.scalar(sa.select(database_seconds())))
        time.sleep(0.05)
        return float(connection.scalar(sa.select(database_seconds()))) - first

    assert 0.04 < opened.database.run(twice) < 5.0


def test_a_worker_joins_beats_and_leaves(open_worker):
    """Its row says who and where it is, and what it does."""
    opened = open_worker()
    activity = WorkerActivity("training", 3, 2, 9, 0.5)
    with worker_session(
        opened.database, WorkerRegistration(opened.study_id, "GPU 0"), activity, StopRequest(), seconds=60.0
    ) as member:
        row = rows_of(opened)[member.worker_id]
        assert (row.state, row.device) == (ALIVE, "GPU 0")
        assert (row.activity, row.trial_number, row.epoch, row.epochs, row.metric_value) == ("training", 3, 2, 9, 0.5)
    assert rows_of(opened)[member.worker_id].state == ENDED


def test_a_value_that_is_not_finite_is_not_shown(open_worker):
    """Not every database can hold it."""
    opened = open_worker()
    queue = joined(opened, Study())
    for value in (float("nan"), float("inf")):
        opened.database.run(lambda c, value=value: send_heartbeat(c, queue.worker, WorkerActivity(metric_value=value)))
        assert rows_of(opened)[queue.worker.worker_id].metric_value is None


def test_the_heartbeat_of_one_gives_up_another_that_is_silent(open_worker):
    """Its trial waits then; one that is silent for less is left alone."""
    opened = open_worker(2)
    lost, late, other = (joined(opened, Study()) for _ in range(3))
    lost.claim(), late.claim()
    silence(opened, lost, 11.0)
    silence(opened, late, 8.0)
    opened.database.run(lambda connection: send_heartbeat(connection, other.worker, WorkerActivity()))
    states = {worker_id: row.state for worker_id, row in rows_of(opened).items()}
    assert [states[each.worker.worker_id] for each in (lost, late, other)] == [LOST, ALIVE, ALIVE]
    assert [trial.state for trial in opened.study.trials] == [TrialState.WAITING, TrialState.RUNNING]
    assert other.claim().number == 0


def test_a_worker_that_comes_back_is_alive_again(open_worker):
    """It was stalled, not dead."""
    opened = open_worker()
    stalled, other = joined(opened, Study()), joined(opened, Study())
    silence(opened, stalled, 11.0)
    opened.database.run(lambda connection: send_heartbeat(connection, other.worker, WorkerActivity()))
    opened.database.run(lambda connection: send_heartbeat(connection, stalled.worker, WorkerActivity()))
    assert rows_of(opened)[stalled.worker.worker_id].state == ALIVE


def test_without_heartbeats_an_idle_worker_takes_over(open_worker):
    """Whoever asks for a trial looks after the others too."""
    opened = open_worker(1)
    lost, other = joined(opened, Study()), joined(opened, Study())
    lost.claim()
    assert other.claim() == NoTrialLeft(study_finished=False)
    silence(opened, lost, 11.0)
    assert (other.claim().number, other.claim()) == (0, NoTrialLeft(study_finished=False))


def test_whoever_leaves_lets_its_trial_wait(open_worker):
    """A worker that ends with an error leaves no trial running."""
    opened = open_worker()
    queue = joined(opened, Study())
    queue.claim()
    queue.worker.deregister(opened.database)
    assert opened.study.trials[0].state == TrialState.WAITING


def test_lost_worker_is_read_as_lost_before_it_is_marked(open_worker):
    """Every view applies one rule, whether or not another worker has marked the row."""
    opened = open_worker()
    lost, alive = joined(opened, Study()), joined(opened, Study())
    silence(opened, lost, 11.0)
    first, second = opened.database.read(lambda connection: read_workers(connection, opened.study_id))
    assert (first.worker_id, first.state, second.state) == (lost.worker.worker_id, LOST, ALIVE)
    assert first.heartbeat_seconds >= 11.0
    assert rows_of(opened)[lost.worker.worker_id].state == ALIVE
    assert opened.database.read(lambda connection: count_alive(connection, opened.study_id)) == 1
    assert opened.database.run(lambda c: send_heartbeat(c, alive.worker, WorkerActivity())).alive == 1
