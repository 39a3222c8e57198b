"""Limits and stop requests of a study, on every database."""

import time

import pytest
import sqlalchemy as sa
from optuna.trial import TrialState

from studies.database import study_control
from studies.database.study_control import Limits, claim_export, read_control, request_stop, set_limits
from studies.database.tables import WORKERS
from studies.database.trial_writes import PendingWrites
from studies.database.workers import WorkerActivity, WorkerRegistration, send_heartbeat
from studies.settings import Study
from studies.stop_request import StopReason, StopRequest
from studies.workers.heartbeat import apply_control, worker_session
from tests.support.fakes import change, joined


def heard(opened, member, clock=lambda: 100.0):
    """Return what a worker's next heartbeat delivers."""
    stop = StopRequest(clock=clock)
    apply_control(opened.database.run(lambda connection: send_heartbeat(connection, member, WorkerActivity())), stop)
    return stop


def test_joining_worker_can_only_raise_limits(open_worker):
    """A lower budget or another time limit has no effect while workers run; the deadline is on the database's clock."""
    opened = open_worker()
    set_limits(opened.database, opened.study_id, Limits(9, 60.0))
    member = joined(opened, Study()).worker
    before = read_control(opened.database, opened.study_id)
    assert before.trial_budget == 9
    assert 50.0 < heard(opened, member).deadline - 100.0 <= 60.0
    set_limits(opened.database, opened.study_id, Limits(5, 1.0))
    assert read_control(opened.database, opened.study_id) == before
    for budget, deadline in ((12, before.deadline), (5, None)):
        set_limits(opened.database, opened.study_id, Limits(budget))
        after = read_control(opened.database, opened.study_id)
        assert (after.trial_budget, after.deadline) == (budget, deadline)
        member.deregister(opened.database)


def test_extend_budget_adds_trials(open_worker):
    """A worker claims the new trials; a later budget is at least the number of finished trials."""
    opened = open_worker(1)
    queue = joined(opened, Study())
    claims = [queue.claim()]
    assert study_control.extend_budget(opened.database, opened.study_id, 2) == 3
    claims += [queue.claim(), queue.claim()]
    assert ([claim.number for claim in claims], queue.trial_budget()) == ([0, 1, 2], 3)
    for claim in claims[:2]:
        queue.finish(claim, PendingWrites(), TrialState.COMPLETE, 0.5, 1)
    queue.worker.deregister(opened.database)
    set_limits(opened.database, opened.study_id, Limits(1))
    assert queue.trial_budget() == 2


def test_stop_reaches_all_workers(open_worker):
    """The next start clears the request."""
    opened = open_worker()
    members = [joined(opened, Study()).worker for _ in range(2)]
    assert request_stop(opened.database, opened.study_id) == 2
    assert [heard(opened, member).requested_by for member in members] == [StopReason.STUDY_STOPPED] * 2
    for member in members:
        member.deregister(opened.database)
    assert request_stop(opened.database, opened.study_id) == 0
    assert set_limits(opened.database, opened.study_id, Limits(6), age_seconds=lambda: 0.0) is None
    assert read_control(opened.database, opened.study_id).stop_reason is None


@pytest.mark.parametrize("has_newer", [False, True])
def test_stop_reaches_starting_process(open_worker, has_newer):
    """Its command is older than the request, so it does not clear it, whether or not a later command continues."""
    opened = open_worker()
    request_stop(opened.database, opened.study_id)
    if has_newer:
        assert set_limits(opened.database, opened.study_id, Limits(6), age_seconds=lambda: 0.0) is None
    worker = joined(opened, Study()).worker
    assert set_limits(opened.database, opened.study_id, Limits(6), age_seconds=lambda: 60.0) == StopReason.STUDY_STOPPED
    assert heard(opened, worker).requested != has_newer


@pytest.mark.parametrize(("share", "is_over"), [(1.0, True), (0.25, False)])
def test_device_seconds_count_by_share(open_worker, share, is_over):
    """Two workers use 120 s of whole devices in 60 s, or 30 s of quarters."""
    opened = open_worker()
    set_limits(opened.database, opened.study_id, Limits(6, None, 100.0))
    members = [WorkerRegistration(opened.study_id, "fake", device_share=share) for _ in range(2)]
    for member in members:
        member.register(opened.database)
    change(opened, sa.update(WORKERS).values(started_at=WORKERS.c.started_at - 60.0))
    assert [heard(opened, member).out_of_time for member in (*members, members[0])][-1] is is_over
    # What was used before a pause does not count after it.
    for member in members:
        member.deregister(opened.database)
    set_limits(opened.database, opened.study_id, Limits(6, None, 100.0))
    assert not heard(opened, members[0]).out_of_time


def test_one_worker_claims_export(open_worker):
    """Other workers get no claim while it is alive, and the result afterwards."""
    opened = open_worker()
    first, second = (joined(opened, Study()).worker for _ in range(2))
    claims = [claim_export(opened.database, opened.study_id, each.worker_id) for each in (first, first, second)]
    assert [claim is not None for claim in claims] == [True, True, False]
    first.deregister(opened.database)
    claim = claim_export(opened.database, opened.study_id, second.worker_id)
    assert study_control.release_export(opened.database, claim, {"host": "a", "trial": [3, 9]})
    row = read_control(opened.database, opened.study_id)
    assert (row.exporter_id, row.export_info) == (None, {"host": "a", "trial": [3, 9]})


def test_heartbeat_delivers_stop_request(open_worker):
    """The thread passes it to the training."""
    opened, stop = open_worker(), StopRequest()
    member = WorkerRegistration(opened.study_id, "fake")
    with worker_session(opened.database, member, WorkerActivity(), stop, seconds=0.05):
        request_stop(opened.database, opened.study_id)
        until = time.monotonic() + 10.0
        while not stop.requested and time.monotonic() < until:
            time.sleep(0.05)
    assert stop.requested_by is StopReason.STUDY_STOPPED
