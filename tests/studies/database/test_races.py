"""Concurrent ends, heartbeats and marking of lost workers never undo a finished trial."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from optuna.trial import TrialState
from sqlalchemy import event

from studies.database.claims import ClaimLostError
from studies.database.optuna_tables import TRIALS
from studies.database.tables import CLAIMS
from studies.database.transactions import Database
from studies.database.trial_writes import Claim, PendingWrites
from studies.database.workers import WorkerActivity, record_heartbeat, send_heartbeat
from studies.settings import Study
from tests.studies.database.stores import SERVERS
from tests.support.fakes import beat, joined, lose, silence

DEADLOCKS = ("deadlock", "lock wait", "lock timeout")


def states(opened):
    """Return the state of every trial by id."""
    query = sa.select(TRIALS.c.trial_id, TRIALS.c.state)
    return opened.database.read(lambda connection: {row.trial_id: row.state for row in connection.execute(query)})


@contextlib.contextmanager
def paused(opened, beginning, work):
    """Run a call in a thread, which waits before the first statement with some beginning until the block is left."""
    reached, resumed = threading.Event(), threading.Event()

    def pause(connection, cursor, statement, *rest):
        if statement.startswith(beginning) and not reached.is_set():
            reached.set()
            resumed.wait(10.0)

    event.listen(opened.database.engine, "before_cursor_execute", pause)
    with ThreadPoolExecutor(1) as thread:
        done = thread.submit(work)
        assert reached.wait(10.0)
        yield
        resumed.set()
        done.result()


STEPS = {
    "before the worker is locked": "SELECT search_workers.worker_id \nFROM search_workers",
    "before the claim is locked": "SELECT search_claims.crash_count",
}


@pytest.mark.slow
@SERVERS
@pytest.mark.parametrize("step", list(STEPS))
@pytest.mark.parametrize("how", ["heartbeat", "retire"])
def test_trial_finished_during_marking_stays_finished(open_worker, step, how):
    """Marking its worker as lost changes nothing after the trial has ended."""
    opened, other = open_worker(2), open_worker(2)
    ending, retiring = joined(opened, Study(trials=2)), joined(other, Study(trials=2))
    claim = ending.claim()
    silence(opened, ending)
    mark = {"retire": lambda: lose(other, ending), "heartbeat": lambda: beat(other, retiring)}[how]
    with paused(other, STEPS[step], mark):
        ending.finish(claim, PendingWrites(), TrialState.COMPLETE, 0.75, 0)
    assert states(opened) == {claim.trial_id: TrialState.COMPLETE}
    query = sa.select(CLAIMS.c.worker_id, CLAIMS.c.crash_count)
    assert opened.database.read(lambda c: c.execute(query).one()) == (ending.worker.worker_id, 0)
    assert retiring.claim().number == 1


@SERVERS
def test_worker_returning_during_marking_keeps_trial(open_worker):
    """Its heartbeat came first."""
    opened, other = open_worker(1), open_worker(1)
    returning, retiring = joined(opened, Study(trials=1)), joined(other, Study(trials=1))
    claim = returning.claim()
    silence(opened, returning)
    with paused(other, STEPS["before the worker is locked"], lambda: beat(other, retiring)):
        beat(opened, returning)
    returning.save(claim, PendingWrites(user_attrs={"x": 1}))
    assert states(opened) == {claim.trial_id: TrialState.RUNNING}


@SERVERS
def test_heartbeat_skips_locked_trial(open_worker):
    """A suspended worker may hold the lock for long."""
    opened, other = open_worker(1), open_worker(1)
    writing, beating = joined(opened, Study(trials=1)), joined(other, Study(trials=1))
    claim = writing.claim()
    silence(opened, writing)
    with opened.database.engine.begin() as connection:
        connection.execute(sa.update(CLAIMS).values(attempt=CLAIMS.c.attempt))
        beat(other, beating)
        assert states(other) == {claim.trial_id: TrialState.RUNNING}
    beat(other, beating)
    assert states(other) == {claim.trial_id: TrialState.WAITING}


@SERVERS
def test_trial_started_by_other_program_is_not_claimed(open_worker, open_plainly):
    """Optuna may start a waiting trial at the same moment."""
    opened = open_worker(3)
    queue = joined(opened, Study(trials=3))
    claim = queue.claim()
    queue.release(claim, PendingWrites())
    plain, popped = open_plainly(), []

    def pop(connection, cursor, statement, *rest):
        if statement.startswith("UPDATE trials SET state") and not popped:
            popped.append(plain._storage.set_trial_state_values(claim.trial_id, TrialState.RUNNING))

    event.listen(opened.database.engine, "before_cursor_execute", pop)
    again = queue.claim()
    assert popped == [True]
    assert not isinstance(again, Claim) or again.number != claim.number


@pytest.mark.slow
@SERVERS
def test_concurrent_ends_and_heartbeats_never_deadlock(open_worker):
    """Six silent workers finish trials while three others mark them as lost; no end is undone."""
    crew = [(opened, joined(opened, Study(trials=999))) for opened in (open_worker(999) for _ in range(9))]
    enders, beaters, together = crew[:6], crew[6:], threading.Barrier(9)
    errors: list[str] = []

    def end(queue, claim):
        together.wait()
        with contextlib.suppress(ClaimLostError):
            queue.finish(claim, PendingWrites(), TrialState.COMPLETE, 0.75, 0)
            return claim.trial_id

    def keep_beating(opened, queue):
        together.wait()
        without_retry = Database(opened.database.engine, retry_timeout=lambda: 0.0)
        for _ in range(4):
            try:
                without_retry.run(lambda connection: send_heartbeat(connection, queue.worker, WorkerActivity()))
            except sa.exc.SQLAlchemyError as error:
                errors.append(str(error))

    for _ in range(4):
        for opened, queue in crew:
            opened.database.run(lambda connection, queue=queue: record_heartbeat(connection, queue.worker))
        claims = [queue.claim() for _, queue in enders]
        silence(enders[0][0], *(queue for _, queue in enders))
        with ThreadPoolExecutor(9) as threads:
            beating = [threads.submit(keep_beating, *each) for each in beaters]
            ends = threads.map(end, [queue for _, queue in enders], claims)
        now = states(enders[0][0])
        assert {now[trial_id] for trial_id in ends if trial_id is not None} <= {TrialState.COMPLETE}
        assert [each.result() for each in beating] == [None] * 3
    assert [error for error in errors if any(word in error.lower() for word in DEADLOCKS)] == []
