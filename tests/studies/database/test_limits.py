"""How a study is steered and bounded from anywhere, on every store."""

import time

import pytest
import sqlalchemy as sa

from studies.database.study_control import (
    Limits,
    claim_export,
    extend_budget,
    read_control,
    release_export,
    request_stop,
    set_limits,
)
from studies.database.tables import WORKERS
from studies.database.workers import WorkerActivity, WorkerRegistration, send_heartbeat
from studies.settings import Study
from studies.stop_request import StopReason, StopRequest
from studies.workers.heartbeat import apply_control, worker_session
from tests.support.fakes import joined, opened_tiny, run_tiny


def heard(opened, member, clock=lambda: 100.0):
    """What a worker hears with its next heartbeat."""
    stop = StopRequest(clock=clock)
    apply_control(opened.database.run(lambda connection: send_heartbeat(connection, member, WorkerActivity())), stop)
    return stop


def test_the_first_worker_sets_the_limits(open_worker):
    """The time counts on the database's clock, for all workers alike."""
    opened = open_worker()
    set_limits(opened.database, opened.study_id, Limits(9, 60.0))
    member = joined(opened, Study()).worker
    assert read_control(opened.database, opened.study_id).trial_budget == 9
    assert 50.0 < heard(opened, member).deadline - 100.0 <= 60.0


def test_who_joins_can_only_extend(open_worker):
    """Fewer trials or another time limit do not count while others work; more trials do."""
    opened = open_worker()
    set_limits(opened.database, opened.study_id, Limits(9, 60.0))
    member = joined(opened, Study()).worker
    before = read_control(opened.database, opened.study_id)
    set_limits(opened.database, opened.study_id, Limits(5, 1.0))
    assert read_control(opened.database, opened.study_id) == before
    set_limits(opened.database, opened.study_id, Limits(12))
    after = read_control(opened.database, opened.study_id)
    assert (after.trial_budget, after.deadline) == (12, before.deadline)
    member.deregister(opened.database)
    set_limits(opened.database, opened.study_id, Limits(5))
    after = read_control(opened.database, opened.study_id)
    assert (after.trial_budget, after.deadline) == (5, None)


def test_trials_that_have_ended_stay_trials_of_the_study(tmp_path):
    """Fewer are never stored than have ended, whatever was asked for."""
    run_tiny(tmp_path, Study(trials=2, pruner="none"))
    opened = opened_tiny(tmp_path, Study(trials=1, pruner="none"))
    assert read_control(opened.database, opened.study_id).trial_budget == 2


def test_more_trials_can_be_added(open_worker):
    """`add_trials` says how many there are then, and a worker takes them."""
    opened = open_worker(1)
    queue = joined(opened, Study())
    queue.claim()
    assert extend_budget(opened.database, opened.study_id, 2) == 3
    assert [queue.claim().number for _ in range(2)] == [1, 2]
    assert queue.trial_budget() == 3


def test_a_stop_reaches_every_worker_and_the_next_start_takes_it_back(open_worker):
    """All that are alive hear it with their next heartbeat."""
    opened = open_worker()
    members = [joined(opened, Study()).worker for _ in range(2)]
    assert request_stop(opened.database, opened.study_id) == 2
    assert [heard(opened, member).requested_by for member in members] == [StopReason.STUDY_STOPPED] * 2
    for member in members:
        member.deregister(opened.database)
    assert request_stop(opened.database, opened.study_id) == 0
    assert set_limits(opened.database, opened.study_id, Limits(6), age_seconds=lambda: 0.0) is None
    assert read_control(opened.database, opened.study_id).stop_reason is None


def test_a_stop_also_ends_a_process_that_was_still_starting(open_worker):
    """It joins after the others have ended, but its command is older than the request: it takes nothing back."""
    opened = open_worker()
    joined(opened, Study()).worker.deregister(opened.database)
    assert request_stop(opened.database, opened.study_id) == 0
    assert set_limits(opened.database, opened.study_id, Limits(6), age_seconds=lambda: 60.0) == StopReason.STUDY_STOPPED
    assert heard(opened, joined(opened, Study()).worker).requested_by is StopReason.STUDY_STOPPED


def test_a_later_start_does_not_save_a_process_that_was_still_starting(open_worker):
    """The request is for all commands that are older than it; the one that takes it back goes on alone."""
    opened = open_worker()
    request_stop(opened.database, opened.study_id)
    assert set_limits(opened.database, opened.study_id, Limits(6), age_seconds=lambda: 0.0) is None
    newer = joined(opened, Study()).worker
    assert set_limits(opened.database, opened.study_id, Limits(6), age_seconds=lambda: 60.0) == StopReason.STUDY_STOPPED
    assert not heard(opened, newer).requested


@pytest.mark.parametrize(("share", "is_over"), [(1.0, True), (0.25, False)])
def test_gpu_hours_count_over_all_workers_by_their_share(open_worker, share, is_over):
    """Two workers that began 60 s ago have used 120 s of devices of their own, and 30 s of quarters."""
    opened = open_worker()
    set_limits(opened.database, opened.study_id, Limits(6, None, 100.0))
    members = [WorkerRegistration(opened.study_id, "fake", device_share=share) for _ in range(2)]
    for member in members:
        member.register(opened.database)
    earlier = sa.update(WORKERS).values(started_at=WORKERS.c.started_at - 60.0)
    opened.database.run(lambda connection: connection.execute(earlier))
    assert [heard(opened, member).out_of_time for member in (*members, members[0])][-1] is is_over
    # What was used before a pause does not count after it.
    for member in members:
        member.deregister(opened.database)
    set_limits(opened.database, opened.study_id, Limits(6, None, 100.0))
    assert not heard(opened, members[0]).out_of_time


def test_one_worker_exports(open_worker):
    """The others are told no while it lives, and what came of it afterwards."""
    opened = open_worker()
    first, second = (joined(opened, Study()).worker for _ in range(2))
    assert claim_export(opened.database, opened.study_id, first.worker_id)
    assert claim_export(opened.database, opened.study_id, first.worker_id)
    assert claim_export(opened.database, opened.study_id, second.worker_id) is None
    first.deregister(opened.database)
    claim = claim_export(opened.database, opened.study_id, second.worker_id)
    assert release_export(opened.database, claim, {"host": "a", "trial": [3, 9]})
    row = read_control(opened.database, opened.study_id)
    assert (row.exporter_id, row.export_info) == (None, {"host": "a", "trial": [3, 9]})


def test_a_worker_hears_the_stop_within_a_heartbeat(open_worker):
    """The thread tells the training, which asks between its steps."""
    opened = open_worker()
    stop = StopRequest()
    with worker_session(
        opened.database, WorkerRegistration(opened.study_id, "fake"), WorkerActivity(), stop, seconds=0.05
    ):
        request_stop(opened.database, opened.study_id)
        for _ in range(200):
            if stop.requested:
                break
            time.sleep(0.05)
    assert stop.requested_by is StopReason.STUDY_STOPPED
