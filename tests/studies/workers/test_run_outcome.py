"""What came of a search."""

import pytest

from spaces.errors import NoResultError
from studies import Study
from studies.outcome import Best, Progress
from studies.stop_request import StopRequest
from studies.workers.run_outcome import MOST_SECONDS, SECONDS_BETWEEN_LOOKS, outcome, wait_for_others
from tests.support.fakes import TINY, joined, opened_tiny, taken_from

SETTINGS = Study(trials=2, sampler="random", timeout=60.0)
BEST = Best(0, 0.5, 1, {})


def outcome_of(now: Progress, *, needs_best: bool = True):
    """The outcome of a study of which nothing was known before."""
    return outcome("tiny", TINY, SETTINGS, now, Progress(2), StopRequest(), needs_best=needs_best)


def test_a_search_that_time_ended_without_a_result_says_what_to_do():
    """It differs from one whose trials have all failed."""
    with pytest.raises(
        NoResultError, match=r"limit of 60 seconds was reached before one trial was complete: .*--timeout"
    ):
        outcome_of(Progress(2, failed=1))
    with pytest.raises(NoResultError, match=r"without one complete trial \(0 pruned, 2 failed\)"):
        outcome_of(Progress(2, failed=2))


def test_a_worker_without_a_result_leaves_it_to_the_others():
    """Whoever started the workers knows of all."""
    assert outcome_of(Progress(2), needs_best=False).timed_out
    assert not outcome_of(Progress(2, complete=2, best=BEST)).timed_out


def test_the_trials_of_others_are_waited_for_a_little_under_a_time_limit(tmp_path):
    """One of them may be the best; one that does not end holds nobody up."""
    opened = opened_tiny(tmp_path, SETTINGS)
    taken_from(opened.study, joined(opened, SETTINGS))
    now, waits = [0.0], []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    wait_for_others(opened.study, StopRequest(clock=lambda: now[0]), wait)
    assert waits == []
    wait_for_others(opened.study, StopRequest(deadline=1000.0, clock=lambda: now[0]), wait)
    assert sum(waits) == pytest.approx(MOST_SECONDS, abs=SECONDS_BETWEEN_LOOKS)
