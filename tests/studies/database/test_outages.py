"""Outages, suspended machines and clocks that are set: whoever was not to blame loses no trial, on every store."""

from dataclasses import replace

import pytest
import sqlalchemy as sa
from optuna.trial import TrialState

from studies.database import workers
from studies.database.claims import ClaimLostError, NoTrialLeft
from studies.database.lost_workers import mark_lost_workers
from studies.database.outages import MOST_MISSED_OUTAGES
from studies.database.study_control import Limits, request_stop, set_limits
from studies.database.tables import CLAIMS, STUDIES, WORKERS
from studies.database.trial_writes import PendingWrites
from studies.database.workers import WorkerActivity, send_heartbeat
from studies.outcome import ALIVE, LOST
from studies.settings import Study
from tests.studies.database.clock import SetClock
from tests.support.fakes import joined


@pytest.fixture
def clock():
    """The database's clock, set by the test."""
    return SetClock()


@pytest.fixture
def crew(open_worker, clock):
    """Three workers of a study with ten seconds to be heard, each with a trial."""
    crew = []
    for _ in range(3):
        opened = open_worker(3)
        clock.govern(opened.database.engine)
        queue = joined(opened, Study(trials=3))
        crew.append((opened, queue, queue.claim()))
    return crew


def beats(worker):
    """One heartbeat of a worker."""
    opened, queue, _ = worker
    opened.database.run(lambda connection: send_heartbeat(connection, queue.worker, WorkerActivity()))


def writes(worker):
    """Whether a worker still holds its trial."""
    _, queue, claim = worker
    try:
        queue.save(claim, PendingWrites(user_attrs={"x": 1}))
    except ClaimLostError:
        return False
    return True


def state_of(worker):
    """The state of a worker in the database."""
    opened, queue, _ = worker
    query = sa.select(WORKERS.c.state).where(WORKERS.c.worker_id == queue.worker.worker_id)
    return opened.database.read(lambda connection: connection.scalar(query))


def losses(opened):
    """How many workers in a row count as lost with each trial."""
    query = sa.select(CLAIMS.c.crash_count).order_by(CLAIMS.c.trial_id)
    return opened.database.read(lambda connection: [*connection.scalars(query)])


@pytest.mark.parametrize("seconds", [6.0, 1e7, -3600.0])
def test_no_worker_is_lost_by_an_outage_or_a_clock_that_is_set(crew, clock, seconds):
    """Whoever is heard first finds that nobody was heard for long: all of them have their whole time again."""
    for _ in range(3):
        clock.move(seconds)
        for worker in crew:
            beats(worker)
        clock.move(2.0)
        for worker in reversed(crew):
            beats(worker)
    assert [writes(worker) for worker in crew] == [True] * 3
    assert losses(crew[0][0]) == [0, 0, 0]


@pytest.mark.parametrize("seconds", [11.0, -3600.0])
def test_who_stays_silent_for_the_whole_time_after_an_outage_is_lost(crew, clock, seconds):
    """Neither before, nor hours later where the clock was set back."""
    clock.move(seconds)
    for _ in range(5):
        beats(crew[0]), beats(crew[1])
        assert state_of(crew[2]) == ALIVE
        clock.move(2.4)
    beats(crew[0])
    assert [state_of(worker) for worker in crew] == [ALIVE, ALIVE, LOST]
    assert not writes(crew[2])
    assert losses(crew[0][0]) == [0, 0, 1]


def test_a_worker_suspended_within_its_transaction_gives_nobody_up(crew, clock, monkeypatch):
    """The others waited for its lock: they are judged at the time at which it looked for an outage."""
    uncount_own_crash = workers._uncount_own_crash

    def suspended(*args):
        clock.move(60.0)
        uncount_own_crash(*args)

    monkeypatch.setattr(workers, "_uncount_own_crash", suspended)
    beats(crew[0])
    monkeypatch.undo()
    assert [state_of(worker) for worker in crew] == [ALIVE] * 3
    beats(crew[1])
    assert [writes(worker) for worker in crew] == [True] * 3


def test_another_outage_begins_the_time_again(crew, clock):
    """A database that is away again and again costs nobody a trial."""
    for _ in range(MOST_MISSED_OUTAGES - 1):
        clock.move(30.0)
        beats(crew[0])
        clock.move(4.0)
        beats(crew[0])
    assert state_of(crew[1]) == ALIVE
    assert writes(crew[1])


def test_who_misses_every_return_of_the_database_is_lost_at_last(crew, clock):
    """Where heartbeats are slow, every gap looks like an outage: a dead worker does not keep its trial for that."""
    for _ in range(MOST_MISSED_OUTAGES + 1):
        clock.move(7.0)
        beats(crew[0]), beats(crew[1])
    assert [state_of(worker) for worker in crew] == [ALIVE, ALIVE, LOST]


def test_who_asks_for_a_trial_or_joins_notices_an_outage_too(crew, clock, open_worker):
    """Not only a heartbeat may come first after it."""
    opened, queue, claim = crew[0]
    queue.finish(claim, PendingWrites(), TrialState.COMPLETE, 1.0, 0)
    clock.move(30.0)
    assert queue.claim() == NoTrialLeft(study_finished=False)
    clock.move(30.0)
    joined(opened, Study(trials=3))
    beats(crew[0])
    clock.move(30.0)
    opened.database.run(lambda connection: mark_lost_workers(connection, opened.study_id))
    assert [state_of(worker) for worker in crew] == [ALIVE] * 3


def test_one_that_is_suspended_alone_loses_its_trial_and_is_forgiven_when_it_returns(crew, clock):
    """The trial goes on elsewhere; it did not kill anybody, and that does not count against it."""
    first, second, suspended = crew
    for _ in range(6):
        clock.move(2.0)
        beats(first), beats(second)
    assert (state_of(suspended), losses(first[0])) == (LOST, [0, 0, 1])
    first[1].finish(first[2], PendingWrites(), TrialState.COMPLETE, 1.0, 0)
    again = first[1].claim()
    assert (again.number, again.attempt) == (2, 2)
    beats(suspended)
    assert (state_of(suspended), losses(first[0])) == (ALIVE, [0, 0, 0])
    assert not writes(suspended)
    beats(suspended)
    assert losses(first[0]) == [0, 0, 0]


def test_what_was_lost_after_progress_is_not_forgiven(crew, clock):
    """A crash of another worker, which counts, stays."""
    first, second, suspended = crew
    for _ in range(6):
        clock.move(2.0)
        beats(first), beats(second)
    first[1].finish(first[2], PendingWrites(), TrialState.COMPLETE, 1.0, 0)
    again = first[1].claim()
    first[1].save(again, PendingWrites(epochs={1: {"loss": 1.0}}))
    first[1].release(again, PendingWrites())
    again = first[1].claim()
    for _ in range(6):
        clock.move(2.0)
        beats(second)
    assert losses(second[0]) == [0, 0, 1]
    beats(suspended)
    assert losses(second[0]) == [0, 0, 1]


def test_a_process_of_this_machine_that_is_gone_is_lost_before_its_time(crew, clock):
    """It need not be waited for, even by the first who is heard after an outage: its process id tells."""
    first, second, dead = crew
    mine = WORKERS.c.worker_id == dead[1].worker.worker_id
    gone = sa.update(WORKERS).where(mine).values(process_start=1)
    first[0].database.run(lambda connection: connection.execute(gone))
    beats(first)
    assert state_of(dead) == ALIVE
    clock.move(5.5)
    beats(first)
    assert [state_of(worker) for worker in (second, dead)] == [ALIVE, LOST]


def test_a_start_after_a_lone_worker_was_killed_begins_as_after_a_pause(crew, clock):
    """On the same machine after a moment; on another one when it has been silent for its whole time."""
    opened = crew[0][0]
    gone = sa.update(WORKERS).values(process_start=1)
    opened.database.run(lambda connection: connection.execute(gone))
    clock.move(5.5)
    set_limits(opened.database, opened.study_id, Limits(2))
    assert [state_of(worker) for worker in crew] == [LOST] * 3
    other = joined(opened, Study(trials=3))
    assert other.claim().number == 0
    elsewhere = sa.update(WORKERS).values(machine="elsewhere")
    opened.database.run(lambda connection: connection.execute(elsewhere))
    clock.move(11.0)
    assert request_stop(opened.database, opened.study_id) == 0
    set_limits(opened.database, opened.study_id, Limits(1), age_seconds=lambda: 0.0)
    row = opened.database.read(lambda connection: connection.execute(sa.select(STUDIES)).one())
    assert (row.trial_budget, row.stop_reason) == (1, None)
    # Its trial is left to it for its whole time, since it may have been the database that was away.
    last = joined(opened, Study(trials=3))
    assert last.claim() == NoTrialLeft(study_finished=False)
    for _ in range(6):
        clock.move(2.0)
        beats((opened, last, None))
    assert last.claim().number == 0


def test_workers_with_another_patience_are_judged_by_their_own(crew, clock):
    """One that is lost after two seconds is, while the others with ten are not, and an outage spares it too."""
    opened, queue, _ = crew[0]
    hasty = replace(queue.worker, worker_id="hasty", lost_after_seconds=2.0)
    hasty.register(opened.database)
    clock.move(1.5)
    beats(crew[1])
    worker = (opened, replace(queue, worker=hasty), None)
    assert state_of(worker) == ALIVE
    beats(worker)
    for _ in range(3):
        clock.move(0.9)
        beats(crew[1])
    assert [state_of(each) for each in (worker, crew[0])] == [LOST, ALIVE]
