"""The result of a search, and waiting for other workers' trials."""

import pytest

from spaces.errors import NoResultError
from studies import Study
from studies.outcome import Best, Progress
from studies.stop_request import StopRequest
from studies.workers.run_outcome import MAX_WAIT_SECONDS, POLL_SECONDS, outcome, wait_for_others
from tests.support.fakes import TINY, claim_trial, joined, opened_tiny

SETTINGS = Study(trials=2, sampler="random", timeout=60.0)
BEST = Best(0, 0.5, 1, {})


def outcome_of(now: Progress, *, needs_best: bool = True):
    """Return the outcome of a study that is new in this run."""
    return outcome("tiny", TINY, SETTINGS, now, Progress(2), StopRequest(), needs_best=needs_best)


@pytest.mark.parametrize(
    ("failed", "message"), [(1, r"(?s)60 seconds .*--timeout"), (2, r"0 pruned, 2 failed(.|\n)*hint")]
)
def test_search_without_result_is_an_error_with_its_cause(failed, message):
    """A time limit that is too short differs from trials that all failed."""
    with pytest.raises(NoResultError, match=message):
        outcome_of(Progress(2, failed=failed))


def test_supervised_worker_without_result_is_no_error():
    """The supervisor knows the results of all workers."""
    assert outcome_of(Progress(2), needs_best=False).timed_out
    assert not outcome_of(Progress(2, complete=2, best=BEST)).timed_out


def test_wait_for_other_workers_is_short_and_needs_a_time_limit(tmp_path):
    """One of their trials may be the best; a trial that does not end is not waited for."""
    opened = opened_tiny(tmp_path, SETTINGS)
    claim_trial(opened.study, joined(opened, SETTINGS))
    waits: list[float] = []
    wait_for_others(opened.study, StopRequest(clock=lambda: sum(waits)), waits.append)
    assert waits == []
    wait_for_others(opened.study, StopRequest(deadline=1000.0, clock=lambda: sum(waits)), waits.append)
    assert sum(waits) == pytest.approx(MAX_WAIT_SECONDS, abs=POLL_SECONDS)
