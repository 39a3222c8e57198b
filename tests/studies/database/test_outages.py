"""Outages, suspended machines and clock changes lose no trial, on every database."""

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
from studies.outcome import ALIVE, LOST
from studies.settings import Study
from tests.studies.database.clock import SetClock
from tests.support.fakes import beat, change, joined


@pytest.fixture
def clock():
    """Return a database clock that the test sets."""
    return SetClock()


@pytest.fixture
def crew(open_worker, clock):
    """Create three workers with a timeout of ten seconds, each with a trial."""
    crew = []
    for _ in range(3):
        opened = open_worker(3)
        clock.govern(opened.database.engine)
        queue = joined(opened, Study(trials=3))
        crew.append((opened, queue, queue.claim()))
    return crew


def beats(*workers):
    """Send one heartbeat of each worker."""
    for opened, queue, _ in workers:
        beat(opened, queue)


def writes(worker):
    """Return True if a worker still has the claim on its trial."""
    _, queue, claim = worker
    try:
        queue.save(claim, PendingWrites(user_attrs={"x": 1}))
    except ClaimLostError:
        return False
    return True


def state_of(worker):
    """Return the stored state of a worker."""
    opened, queue, _ = worker
    query = sa.select(WORKERS.c.state).where(WORKERS.c.worker_id == queue.worker.worker_id)
    return opened.database.read(lambda connection: connection.scalar(query))


def losses(opened):
    """Return the crash count of each trial."""
    query = sa.select(CLAIMS.c.crash_count).order_by(CLAIMS.c.trial_id)
    return opened.database.read(lambda connection: [*connection.scalars(query)])


@pytest.mark.parametrize("seconds", [6.0, 1e7, -3600.0])
def test_outage_or_clock_change_loses_no_worker(crew, clock, seconds):
    """The first heartbeat after the gap restarts the time of every worker."""
    for _ in range(3):
        clock.move(seconds)
        beats(*crew)
        clock.move(2.0)
        beats(*reversed(crew))
    assert [writes(worker) for worker in crew] == [True] * 3
    assert losses(crew[0][0]) == [0, 0, 0]


@pytest.mark.parametrize("seconds", [11.0, -3600.0])
def test_worker_silent_after_outage_is_lost(crew, clock, seconds):
    """It counts as lost after its full time, even if the clock was set back."""
    clock.move(seconds)
    for _ in range(5):
        beats(*crew[:2])
        assert state_of(crew[2]) == ALIVE
        clock.move(2.4)
    beats(crew[0])
    assert [state_of(worker) for worker in crew] == [ALIVE, ALIVE, LOST]
    assert not writes(crew[2])
    assert losses(crew[0][0]) == [0, 0, 1]


def test_suspended_transaction_marks_nobody_lost(crew, clock, monkeypatch):
    """It judges other workers at the time at which it checked for an outage."""
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


def test_outage_restarts_time_a_few_times(crew, clock):
    """Repeated outages lose no trial; with slow heartbeats every gap looks like one, so a dead worker is lost later."""
    for seconds in (30.0, 4.0) * (MOST_MISSED_OUTAGES - 1):
        clock.move(seconds)
        beats(crew[0])
    assert (state_of(crew[1]), writes(crew[1])) == (ALIVE, True)
    for _ in range(MOST_MISSED_OUTAGES + 1):
        clock.move(7.0)
        beats(*crew[:2])
    assert [state_of(worker) for worker in crew] == [ALIVE, ALIVE, LOST]


def test_claim_and_registration_notice_outage(crew, clock, open_worker):
    """A heartbeat need not come first."""
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


@pytest.mark.parametrize("other_crashes", [False, True])
def test_crash_of_suspended_worker_is_uncounted(crew, clock, other_crashes):
    """Its trial is requeued, but does not count as crashed once the worker returns; crashes of others stay counted."""
    first, second, suspended = crew
    for _ in range(6):
        clock.move(2.0)
        beats(first, second)
    assert (state_of(suspended), losses(first[0])) == (LOST, [0, 0, 1])
    first[1].finish(first[2], PendingWrites(), TrialState.COMPLETE, 1.0, 0)
    again = first[1].claim()
    assert (again.number, again.attempt) == (2, 2)
    if other_crashes:
        first[1].save(again, PendingWrites(epochs={1: {"loss": 1.0}}))
        first[1].release(again, PendingWrites())
        first[1].claim()
        for _ in range(6):
            clock.move(2.0)
            beats(second)
    for _ in range(2):
        beats(suspended)
        assert (state_of(suspended), losses(second[0])) == (ALIVE, [0, 0, int(other_crashes)])
        assert not writes(suspended)


def test_dead_process_of_this_machine_is_lost_at_once(crew, clock):
    """Its process id shows that it has ended."""
    first, second, dead = crew
    mine = WORKERS.c.worker_id == dead[1].worker.worker_id
    change(first[0], sa.update(WORKERS).where(mine).values(process_start=1))
    beats(first)
    assert state_of(dead) == ALIVE
    clock.move(5.5)
    beats(first)
    assert (state_of(second), state_of(dead)) == (ALIVE, LOST)


def test_start_after_killed_worker_sets_limits(crew, clock):
    """The dead worker is noticed at once on its machine, after its full time on others."""
    opened = crew[0][0]
    change(opened, sa.update(WORKERS).values(process_start=1))
    clock.move(5.5)
    set_limits(opened.database, opened.study_id, Limits(2))
    assert [state_of(worker) for worker in crew] == [LOST] * 3
    other = joined(opened, Study(trials=3))
    assert other.claim().number == 0
    change(opened, sa.update(WORKERS).values(machine="elsewhere"))
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


def test_each_worker_has_own_timeout(crew, clock):
    """A worker with a shorter timeout is lost earlier, but not by an outage."""
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
