"""The contract of every store: each trial is evaluated once, and only by the worker that holds it."""

import math
import threading
from dataclasses import replace

import pytest
import sqlalchemy as sa
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from spaces import baseline
from studies.database.claims import Claim, ClaimLostError, NoTrialLeft
from studies.database.lost_workers import mark_lost_workers
from studies.database.tables import WORKERS, read_epochs
from studies.database.transactions import Database
from studies.database.trial_writes import PendingWrites
from studies.settings import Study
from tests.support.fakes import TINY, joined

HALF = FloatDistribution(0.0, 0.5)
CHANGES = PendingWrites(
    params={"dropout": (0.25, HALF)},
    user_attrs={"kind": "tiny"},
    system_attrs={"rung": 1.5},
    steps={1: 0.5, 2: math.nan, 3: math.inf, 4: -math.inf},
    epochs={1: {"loss": 1.0}, 2: {"loss": math.nan}, 3: {"loss": math.inf}, 4: {"loss": 0.25}},
)


@pytest.fixture
def ledger_of(open_worker):
    """A worker of the study with its own connections, and its queue."""

    def new(trials: int = 6):
        opened = open_worker(trials)
        return opened, joined(opened, Study(trials=trials))

    return new


def lose(opened, queue):
    """Let a worker have been silent for too long, and the others notice."""

    def silence(connection):
        mine = WORKERS.c.worker_id == queue.worker.worker_id
        connection.execute(sa.update(WORKERS).where(mine).values(heartbeat_at=0.0))
        mark_lost_workers(connection, opened.study_id)

    opened.database.run(silence)


def test_eight_at_once_take_each_trial_once(ledger_of):
    """Every number from 0 is taken by one worker, and there is never one more than asked for."""
    workers = [ledger_of(20) for _ in range(8)]
    taken, failures = [], []

    def work(queue):
        try:
            while isinstance(claim := queue.claim(), Claim):
                taken.append(claim.number)
                queue.finish(claim, PendingWrites(), TrialState.COMPLETE, 1.0, 0)
        except Exception as error:  # noqa: BLE001 - shown by the test
            failures.append(error)

    threads = [threading.Thread(target=work, args=(queue,)) for _, queue in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(taken) == list(range(20))
    trials = workers[0][0].study.get_trials(deepcopy=False)
    assert [trial.number for trial in trials] == list(range(20))
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}


def test_the_first_trial_has_what_was_laid_down(ledger_of):
    """The baseline stands in the trial as plain Optuna would enqueue it."""
    opened, queue = ledger_of()
    queue.claim()
    assert opened.study.trials[0].system_attrs["fixed_params"] == baseline(TINY)


def test_what_is_written_is_read_by_plain_optuna(ledger_of, open_plainly):
    """Parameters, attributes, and values that are not finite, by Optuna's own storage on the same database."""
    _, queue = ledger_of()
    claim = queue.claim()
    queue.save(claim, CHANGES)
    queue.finish(claim, PendingWrites(), TrialState.COMPLETE, 0.75, 4)
    plain = open_plainly()
    trial = plain.trials[0]
    assert (trial.params, trial.distributions) == ({"dropout": 0.25}, {"dropout": HALF})
    assert trial.user_attrs == {"kind": "tiny"}
    assert trial.system_attrs["rung"] == 1.5
    steps = trial.intermediate_values
    assert (steps[1], steps[3], steps[4]) == (0.5, math.inf, -math.inf)
    assert math.isnan(steps[2])
    assert (trial.state, trial.value) == (TrialState.COMPLETE, 0.75)
    assert trial.datetime_start <= trial.datetime_complete
    assert plain.best_trial.number == 0


@pytest.mark.parametrize("value", [math.inf, -math.inf, 1e300, 5e-324, 0.1 + 0.2])
def test_a_value_is_stored_to_the_last_bit(ledger_of, value):
    """Also where the database has no such number."""
    opened, queue = ledger_of()
    queue.finish(queue.claim(), PendingWrites(), TrialState.COMPLETE, value, 0)
    assert opened.study.trials[0].value == value


def test_epochs_are_kept_once_each(ledger_of):
    """A later write of an epoch replaces the earlier one; what is not a number is none."""
    opened, queue = ledger_of()
    claim = queue.claim()
    queue.save(claim, CHANGES)
    queue.save(claim, PendingWrites(epochs={4: {"loss": 0.125}}))
    found = read_epochs(opened.database.engine, claim.trial_id)
    assert found == [{"loss": 1.0}, {"loss": None}, {"loss": None}, {"loss": 0.125}]


def test_the_end_removes_epochs_that_an_earlier_attempt_had_gone_beyond(ledger_of):
    """A curve ends where its trial ended."""
    opened, queue = ledger_of()
    claim = queue.claim()
    queue.release(claim, CHANGES)
    queue.finish(queue.claim(), PendingWrites(), TrialState.PRUNED, 0.5, 2)
    assert len(read_epochs(opened.database.engine, claim.trial_id)) == 2


def test_a_trial_that_was_handed_back_is_taken_next_with_all_it_has(ledger_of):
    """Its number, parameters and reports stay; the attempts are counted."""
    opened, queue = ledger_of()
    claim = queue.claim()
    queue.release(claim, CHANGES)
    assert opened.study.trials[0].state == TrialState.WAITING
    other, others_ledger = ledger_of()
    again = others_ledger.claim()
    assert (again.trial_id, again.number, again.attempt) == (claim.trial_id, 0, 2)
    trial = other.study.trials[0]
    assert (trial.state, trial.params, trial.intermediate_values[1]) == (TrialState.RUNNING, {"dropout": 0.25}, 0.5)


def test_a_lost_workers_trial_goes_on_with_another_and_is_no_longer_its_own(ledger_of):
    """Whatever the lost one writes, ends or hands back afterwards is refused and changes nothing."""
    opened, lost = ledger_of()
    _, other = ledger_of()
    claim = lost.claim()
    lost.save(claim, CHANGES)
    lose(opened, lost)
    again = other.claim()
    assert (again.number, again.attempt) == (0, 2)
    with pytest.raises(ClaimLostError, match="lost the claim on trial 0"):
        lost.save(claim, PendingWrites(steps={9: 9.0}))
    with pytest.raises(ClaimLostError):
        lost.finish(claim, PendingWrites(), TrialState.FAIL, None, 0)
    lost.release(claim, PendingWrites(steps={9: 9.0}))
    trial = opened.study.trials[0]
    assert trial.state == TrialState.RUNNING
    assert 9 not in trial.intermediate_values
    other.finish(again, PendingWrites(), TrialState.COMPLETE, 1.0, 4)
    assert opened.study.trials[0].value == 1.0


def test_a_lost_worker_that_takes_its_own_trial_again_holds_only_the_new_claim(ledger_of):
    """The attempt tells the two claims apart."""
    opened, queue = ledger_of()
    ledger_of()  # of a worker that was heard meanwhile, so that the database could be reached
    claim = queue.claim()
    lose(opened, queue)
    again = queue.claim()
    with pytest.raises(ClaimLostError):
        queue.save(claim, CHANGES)
    queue.save(again, CHANGES)


def test_finished_trials_of_a_lost_worker_stay_finished(ledger_of):
    """Only what runs is handed on."""
    opened, queue = ledger_of()
    queue.finish(queue.claim(), PendingWrites(), TrialState.COMPLETE, 1.0, 0)
    lose(opened, queue)
    assert opened.study.trials[0].state == TrialState.COMPLETE


def test_there_is_nothing_to_take_while_others_run_the_last_ones(ledger_of):
    """A worker waits while the others may yet be lost, and ends when all have ended."""
    _, queue = ledger_of(2)
    first, second = queue.claim(), queue.claim()
    assert queue.claim() == NoTrialLeft(study_finished=False)
    queue.finish(first, PendingWrites(), TrialState.FAIL, None, 0)
    assert queue.claim() == NoTrialLeft(study_finished=False)
    queue.finish(second, PendingWrites(), TrialState.COMPLETE, 0.0, 0)
    assert queue.claim() == NoTrialLeft(study_finished=True)


def test_trials_that_plain_optuna_enqueued_are_taken_once_and_count(ledger_of, open_plainly):
    """They come first, with their parameters, and the study has no trial more than asked for."""
    opened, queue = ledger_of(3)
    plain = open_plainly()
    for dropout in (0.1, 0.2, 0.3, 0.4):
        plain.enqueue_trial({"dropout": dropout})
    claims = [queue.claim() for _ in range(3)]
    assert [claim.number for claim in claims] == [0, 1, 2]
    # The fourth waits, and is one more than the study is to have.
    assert queue.claim() == NoTrialLeft(study_finished=False)
    for claim in claims:
        queue.finish(claim, PendingWrites(), TrialState.COMPLETE, 0.0, 0)
    assert queue.claim() == NoTrialLeft(study_finished=True)
    fixed = [trial.system_attrs["fixed_params"]["dropout"] for trial in opened.study.trials]
    assert fixed == [0.1, 0.2, 0.3, 0.4]


def test_a_trial_that_plain_optuna_left_running_is_evaluated(ledger_of, open_plainly):
    """A study from before, whose process died without a word, has no owner for it."""
    _, queue = ledger_of(2)
    open_plainly().ask()
    assert sorted([queue.claim().number, queue.claim().number]) == [0, 1]
    assert queue.claim() == NoTrialLeft(study_finished=False)


class AnswerLost(Database):
    """A database whose first answer to each commit gets lost."""

    def run(self, work):
        super().run(work)
        return super().run(work)


def test_what_was_committed_but_not_answered_is_not_done_twice(ledger_of):
    """Each step of a trial's life, run once more after it had succeeded, finds its own work done."""
    opened, queue = ledger_of(3)
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
