"""Workers that end trials, beat and retire others at the same moment: nothing that has ended is ever undone."""

import threading
from collections import Counter

import pytest
import sqlalchemy as sa
from optuna.trial import TrialState
from sqlalchemy import event

from studies.database.claims import Claim, ClaimLostError
from studies.database.lost_workers import end_worker
from studies.database.optuna_tables import TRIALS
from studies.database.tables import CLAIMS, WORKERS
from studies.database.transactions import Database
from studies.database.trial_writes import PendingWrites
from studies.database.workers import WorkerActivity, record_heartbeat, send_heartbeat
from studies.outcome import LOST
from studies.settings import Study
from tests.studies.database.stores import MYSQL
from tests.support.fakes import joined

SERVERS = pytest.mark.parametrize("url", ["postgresql", MYSQL], indirect=True)
DEADLOCKS = ("deadlock", "lock wait", "lock timeout")


def silence(opened, ledgers):
    """Let workers have been silent for too long, while others were heard."""
    these = WORKERS.c.worker_id.in_([queue.worker.worker_id for queue in ledgers])
    opened.database.run(
        lambda connection: connection.execute(
            sa.update(WORKERS).where(these).values(heartbeat_at=WORKERS.c.heartbeat_at - 11.0)
        )
    )


def states(opened):
    """The state of every trial by its id."""
    query = sa.select(TRIALS.c.trial_id, TRIALS.c.state)
    return opened.database.read(lambda connection: {row.trial_id: row.state for row in connection.execute(query)})


class Pause:
    """Stops a worker before a statement, until it is told to resume."""

    def __init__(self, opened, beginning):
        self.reached, self._resume, self._beginning = threading.Event(), threading.Event(), beginning
        event.listen(opened.database.engine, "before_cursor_execute", self._wait)

    def _wait(self, connection, cursor, statement, *rest):
        if statement.startswith(self._beginning) and not self.reached.is_set():
            self.reached.set()
            self._resume.wait(10.0)

    def resume(self):
        """Let it resume."""
        self._resume.set()


STEPS = {
    "before the worker is locked": "SELECT search_workers.worker_id \nFROM search_workers",
    "before the claim is locked": "SELECT search_claims.crash_count",
}


@pytest.mark.slow
@SERVERS
@pytest.mark.parametrize("step", list(STEPS))
@pytest.mark.parametrize("how", ["heartbeat", "retire"])
def test_a_trial_that_ends_while_its_worker_is_retired_stays_ended(open_worker, step, how):
    """Whoever retires it has read that it runs, and finds out before anything is changed that it has ended."""
    opened, other = open_worker(2), open_worker(2)
    ending, retiring = joined(opened, Study(trials=2)), joined(other, Study(trials=2))
    claim = ending.claim()
    silence(opened, [ending])
    pause = Pause(other, STEPS[step])

    def work(connection):
        if how == "heartbeat":
            send_heartbeat(connection, retiring.worker, WorkerActivity())
        else:
            end_worker(connection, ending.worker.worker_id, LOST)

    thread = threading.Thread(target=lambda: other.database.run(work))
    thread.start()
    assert pause.reached.wait(10.0)
    ending.finish(claim, PendingWrites(), TrialState.COMPLETE, 0.75, 0)
    pause.resume()
    thread.join()
    assert states(opened) == {claim.trial_id: TrialState.COMPLETE}
    query = sa.select(CLAIMS.c.worker_id, CLAIMS.c.crash_count)
    assert opened.database.read(lambda c: c.execute(query).one()) == (ending.worker.worker_id, 0)
    assert retiring.claim().number == 1


@SERVERS
def test_a_worker_that_returns_while_it_is_retired_keeps_its_trial(open_worker):
    """Its heartbeat came first: nothing of it is given to another."""
    opened, other = open_worker(1), open_worker(1)
    returning, retiring = joined(opened, Study(trials=1)), joined(other, Study(trials=1))
    claim = returning.claim()
    silence(opened, [returning])
    pause = Pause(other, STEPS["before the worker is locked"])
    thread = threading.Thread(
        target=lambda: other.database.run(
            lambda connection: send_heartbeat(connection, retiring.worker, WorkerActivity())
        )
    )
    thread.start()
    assert pause.reached.wait(10.0)
    opened.database.run(lambda connection: send_heartbeat(connection, returning.worker, WorkerActivity()))
    pause.resume()
    thread.join()
    returning.save(claim, PendingWrites(user_attrs={"x": 1}))
    assert states(opened) == {claim.trial_id: TrialState.RUNNING}


@SERVERS
def test_a_heartbeat_does_not_wait_for_a_worker_that_writes(open_worker):
    """One that was suspended while it wrote about its trial holds that for long: the others go on."""
    opened, other = open_worker(1), open_worker(1)
    writing, beating = joined(opened, Study(trials=1)), joined(other, Study(trials=1))
    claim = writing.claim()
    silence(opened, [writing])
    with opened.database.engine.begin() as connection:
        connection.execute(sa.update(CLAIMS).values(attempt=CLAIMS.c.attempt))
        other.database.run(lambda changing: send_heartbeat(changing, beating.worker, WorkerActivity()))
        assert states(other) == {claim.trial_id: TrialState.RUNNING}
    other.database.run(lambda changing: send_heartbeat(changing, beating.worker, WorkerActivity()))
    assert states(other) == {claim.trial_id: TrialState.WAITING}


@SERVERS
def test_a_trial_that_another_program_has_taken_is_left_to_it(open_worker, open_plainly):
    """Plain Optuna takes trials that wait as well: the worker finds out, and takes none or the next one."""
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
def test_many_ends_and_heartbeats_at_once_undo_nothing_and_never_deadlock(open_worker):
    """Six workers that were silent end their trials while three others retire them, again and again."""
    enders = [(opened, joined(opened, Study(trials=999))) for opened in (open_worker(999) for _ in range(6))]
    beaters = [(opened, joined(opened, Study(trials=999))) for opened in (open_worker(999) for _ in range(3))]
    counts: Counter[str] = Counter()
    errors: list[str] = []
    for _ in range(4):
        for opened, queue in (*enders, *beaters):
            opened.database.run(lambda connection, queue=queue: record_heartbeat(connection, queue.worker))
        claims = [queue.claim() for _, queue in enders]
        silence(enders[0][0], [queue for _, queue in enders])
        together = threading.Barrier(9)
        complete: list[int] = []

        def end(queue, claim, together=together, complete=complete):
            together.wait()
            try:
                queue.finish(claim, PendingWrites(), TrialState.COMPLETE, 0.75, 0)
                complete.append(claim.trial_id)
            except ClaimLostError:
                counts["taken"] += 1

        def keep_beating(opened, queue, together=together):
            together.wait()
            impatient = Database(opened.database.engine, retry_timeout=lambda: 0.0)
            for _ in range(4):
                try:
                    impatient.run(lambda connection: send_heartbeat(connection, queue.worker, WorkerActivity()))
                except sa.exc.SQLAlchemyError as error:
                    errors.append(str(error))

        threads = [
            threading.Thread(target=end, args=(queue, claim)) for (_, queue), claim in zip(enders, claims, strict=True)
        ]
        threads += [threading.Thread(target=keep_beating, args=each) for each in beaters]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        now = states(enders[0][0])
        assert {now[trial_id] for trial_id in complete} <= {TrialState.COMPLETE}
        counts["complete"] += len(complete)
    assert [error for error in errors if any(word in error.lower() for word in DEADLOCKS)] == []
    assert counts["complete"] + counts["taken"] == 24
