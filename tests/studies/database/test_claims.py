"""Claims on every database: each trial is evaluated once, by the worker that has claimed it."""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from spaces import baseline
from studies.database.claims import ClaimLostError, NoTrialLeft
from studies.database.tables import read_epochs
from studies.database.transactions import Database
from studies.database.trial_writes import Claim, PendingWrites
from studies.settings import Study
from tests.support.fakes import TINY, joined, lose

HALF = FloatDistribution(0.0, 0.5)
CHANGES = PendingWrites(
    params={"dropout": (0.25, HALF)},
    user_attrs={"kind": "tiny"},
    system_attrs={"rung": 1.5},
    steps={1: 0.5, 2: math.nan, 3: math.inf, 4: -math.inf},
    epochs={1: {"loss": 1.0}, 2: {"loss": math.nan}, 3: {"loss": math.inf}, 4: {"loss": 0.25}},
)


@pytest.fixture
def queue_of(open_worker):
    """Create a worker with its own connections, and return the study and its queue."""

    def new(trials: int = 6):
        opened = open_worker(trials)
        return opened, joined(opened, Study(trials=trials))

    return new


def test_concurrent_workers_claim_each_trial_once(queue_of):
    """Eight workers claim every number from 0 once, and never exceed the trial budget."""
    workers, taken = [queue_of(20) for _ in range(8)], []

    def work(queue):
        while isinstance(claim := queue.claim(), Claim):
            taken.append(claim.number)
            queue.finish(claim, PendingWrites(), TrialState.COMPLETE, 1.0, 0)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, [queue for _, queue in workers]))
    assert sorted(taken) == list(range(20))
    trials = workers[0][0].study.get_trials(deepcopy=False)
    assert [(trial.number, trial.state) for trial in trials] == [(n, TrialState.COMPLETE) for n in range(20)]


@pytest.mark.parametrize("value", [0.75, math.inf, -math.inf, 1e300, 5e-324, 0.1 + 0.2])
def test_written_trial_is_read_by_optuna(queue_of, open_plainly, value):
    """Optuna's own storage reads parameters, attributes, values that are not finite, and the enqueued baseline."""
    _, queue = queue_of()
    claim = queue.claim()
    queue.save(claim, CHANGES)
    queue.finish(claim, PendingWrites(), TrialState.COMPLETE, value, 4)
    trial = open_plainly().best_trial
    assert (trial.number, trial.params, trial.distributions) == (0, {"dropout": 0.25}, {"dropout": HALF})
    assert trial.user_attrs == {"kind": "tiny"}
    assert (trial.system_attrs["rung"], trial.system_attrs["fixed_params"]) == (1.5, baseline(TINY))
    steps = trial.intermediate_values
    assert (steps[1], steps[3], steps[4]) == (0.5, math.inf, -math.inf)
    assert math.isnan(steps[2])
    assert (trial.state, trial.value) == (TrialState.COMPLETE, value)
    assert trial.datetime_start <= trial.datetime_complete


def test_epoch_is_stored_once(queue_of):
    """A later write of an epoch replaces the earlier one, and the curve ends with the trial; NaN is stored as None."""
    opened, queue = queue_of()
    claim = queue.claim()
    queue.save(claim, CHANGES)
    queue.release(claim, PendingWrites(epochs={4: {"loss": 0.125}}))
    found = read_epochs(opened.database.engine, claim.trial_id)
    assert found == [{"loss": 1.0}, {"loss": None}, {"loss": None}, {"loss": 0.125}]
    queue.finish(queue.claim(), PendingWrites(), TrialState.PRUNED, 0.5, 2)
    assert read_epochs(opened.database.engine, claim.trial_id) == found[:2]


def test_released_trial_is_claimed_next(queue_of):
    """Number, parameters and reports stay; the attempt is counted."""
    opened, queue = queue_of()
    claim = queue.claim()
    queue.release(claim, CHANGES)
    assert opened.study.trials[0].state == TrialState.WAITING
    other, other_queue = queue_of()
    again = other_queue.claim()
    assert (again.trial_id, again.number, again.attempt) == (claim.trial_id, 0, 2)
    trial = other.study.trials[0]
    assert (trial.state, trial.params, trial.intermediate_values[1]) == (TrialState.RUNNING, {"dropout": 0.25}, 0.5)


@pytest.mark.parametrize("is_same_worker", [False, True])
def test_lost_worker_cannot_write_its_trial(queue_of, is_same_worker):
    """After the trial was claimed again, by any worker, writes, ends and releases of the first claim fail."""
    opened, lost = queue_of()
    _, other = queue_of()
    claim = lost.claim()
    lost.save(claim, CHANGES)
    lose(opened, lost)
    other = lost if is_same_worker else other
    again = other.claim()
    assert (again.number, again.attempt) == (0, 2)
    with pytest.raises(ClaimLostError, match="lost the claim on trial 0"):
        lost.save(claim, PendingWrites(steps={9: 9.0}))
    with pytest.raises(ClaimLostError):
        lost.finish(claim, PendingWrites(), TrialState.FAIL, None, 0)
    lost.release(claim, PendingWrites(steps={9: 9.0}))
    trial = opened.study.trials[0]
    assert (trial.state, 9 in trial.intermediate_values) == (TrialState.RUNNING, False)
    other.finish(again, PendingWrites(), TrialState.COMPLETE, 1.0, 4)
    lose(opened, other)
    assert (opened.study.trials[0].state, opened.study.trials[0].value) == (TrialState.COMPLETE, 1.0)


def test_no_trial_left_while_others_run(queue_of):
    """The study is finished once the last trials are."""
    _, queue = queue_of(2)
    first, second = queue.claim(), queue.claim()
    assert queue.claim() == NoTrialLeft(study_finished=False)
    queue.finish(first, PendingWrites(), TrialState.FAIL, None, 0)
    assert queue.claim() == NoTrialLeft(study_finished=False)
    queue.finish(second, PendingWrites(), TrialState.COMPLETE, 0.0, 0)
    assert queue.claim() == NoTrialLeft(study_finished=True)


def test_enqueued_trials_are_claimed_first(queue_of, open_plainly):
    """Trials that Optuna enqueued count towards the trial budget."""
    opened, queue = queue_of(3)
    plain = open_plainly()
    for dropout in (0.1, 0.2, 0.3, 0.4):
        plain.enqueue_trial({"dropout": dropout})
    claims = [queue.claim() for _ in range(3)]
    assert [claim.number for claim in claims] == [0, 1, 2]
    # The fourth waits, and is one more than the study is to have.
    for claim in claims:
        queue.finish(claim, PendingWrites(), TrialState.COMPLETE, 0.0, 0)
    assert queue.claim() == NoTrialLeft(study_finished=True)
    fixed = [trial.system_attrs["fixed_params"]["dropout"] for trial in opened.study.trials]
    assert fixed == [0.1, 0.2, 0.3, 0.4]


def test_running_trial_without_claim_is_evaluated(queue_of, open_plainly):
    """Another program has left it running."""
    _, queue = queue_of(2)
    open_plainly().ask()
    assert sorted([queue.claim().number, queue.claim().number]) == [0, 1]


class AnswerLost(Database):
    """A database that loses the first answer to each commit."""

    def run(self, work):
        super().run(work)
        return super().run(work)


def test_repeated_transaction_has_no_effect(queue_of):
    """Every step of a trial detects that an earlier try has been committed."""
    opened, queue = queue_of(3)
    unsure = replace(queue, database=AnswerLost(opened.database.engine))
    claim = unsure.claim()
    assert (claim.number, claim.attempt) == (0, 1)
    unsure.save(claim, CHANGES)
    unsure.finish(claim, PendingWrites(steps={5: 0.5}), TrialState.COMPLETE, 0.75, 4)
    second = unsure.claim()
    unsure.release(second, CHANGES)
    trials = opened.study.get_trials()
    assert [trial.state for trial in trials] == [TrialState.COMPLETE, TrialState.WAITING]
    assert sorted(trials[0].intermediate_values) == [1, 2, 3, 4, 5]
    assert (unsure.claim().attempt, queue.claim().number) == (2, 2)
