"""A trial that takes its workers with it fails after some of them, and the study goes on."""

from dataclasses import replace

import pytest
import sqlalchemy as sa
from optuna.trial import TrialState

from studies.database.claims import Nothing
from studies.database.stored_trials import outcome_of
from studies.database.tables import WORKERS, read_epochs
from studies.database.trial_writes import Changes
from studies.database.workers import ENDED, LOST, Activity, beat, hand_back_ownerless, retire
from studies.settings import Study
from tests.studies.database.test_claims import AnswerLost
from tests.support.fakes import joined


@pytest.fixture
def crew(open_worker):
    """A study of two trials, and what makes a new worker of it."""
    opened = open_worker(2)
    return opened, lambda **settings: replace(joined(opened, Study(trials=2)), **settings)


def lose(opened, ledger, state=LOST):
    """Let a worker die, and the others notice."""
    opened.database.run(lambda connection: retire(connection, ledger.member.worker_id, state))


def lose_with_it(opened, new, times, epochs=(), **settings):
    """Let so many workers take a trial and die, each after writing these epochs; returns the numbers they took."""
    numbers = []
    for _ in range(times):
        ledger = new(**settings)
        claim = ledger.take()
        numbers.append(claim.number)
        ledger.write(claim, Changes(epochs={epoch: {"loss": 1.0} for epoch in epochs}))
        lose(opened, ledger)
    return numbers


def test_a_trial_that_three_workers_were_lost_with_has_failed(crew):
    """The fourth takes the next one; the reason stands where that of every failed trial does."""
    opened, new = crew
    assert lose_with_it(opened, new, 3) == [0, 0, 0]
    assert opened.study.trials[0].state == TrialState.WAITING
    assert new().take().number == 1
    trial = opened.study.trials[0]
    outcome = outcome_of(trial)
    assert (trial.state, outcome.state, outcome.epochs) == (TrialState.FAIL, "failed", 0)
    assert outcome.reason == "its worker died 3 times in a row, without finishing one more epoch"
    assert trial.datetime_complete is not None


def test_a_study_whose_last_trial_fails_so_is_over(crew):
    """There is no trial more than asked for."""
    opened, new = crew
    assert lose_with_it(opened, new, 6) == [0, 0, 0, 1, 1, 1]
    assert new().take() == Nothing(over=True)
    assert [trial.state for trial in opened.study.trials] == [TrialState.FAIL] * 2


@pytest.mark.parametrize("retries", [0, 4])
def test_as_many_workers_retry_as_the_study_says(crew, retries):
    """None does where there are no retries."""
    opened, new = crew
    assert lose_with_it(opened, new, retries + 1, retries=retries) == [0] * (retries + 1)
    assert new(retries=retries).take().number == 1


def test_an_epoch_more_begins_the_count_anew(crew):
    """Workers that are lost for reasons of their own bring a trial on, each by a little."""
    opened, new = crew
    for epoch in range(1, 4):
        assert lose_with_it(opened, new, 2, range(1, epoch + 1)) == [0, 0]
    assert new().take().number == 0


def test_an_epoch_done_before_is_no_progress(crew):
    """A trial that dies in its third epoch fails, with the curve that it has."""
    opened, new = crew
    assert lose_with_it(opened, new, 4, (1, 2)) == [0] * 4
    new().take()
    assert outcome_of(opened.study.trials[0]).epochs == 2
    assert len(read_epochs(opened.database.engine, opened.study.trials[0]._trial_id)) == 2


def test_a_trial_that_was_handed_back_was_not_lost(crew):
    """Neither by a signal, nor by a worker that left in order, nor by one that was killed while it was ending."""
    opened, new = crew
    for _ in range(4):
        ledger = new()
        ledger.hand_back(ledger.take(), Changes())
        ledger = new()
        ledger.take()
        lose(opened, ledger, ENDED)
        ledger = new()
        ledger.take()
        opened.database.run(lambda connection, to=ledger.member: beat(connection, to, Activity(), is_ending=True))
        lose(opened, ledger)
    assert new().take().number == 0


def test_an_epoch_of_a_worker_that_handed_back_counts_too(crew):
    """The count starts anew after it."""
    opened, new = crew
    lose_with_it(opened, new, 2)
    ledger = new()
    ledger.hand_back(ledger.take(), Changes(epochs={1: {"loss": 1.0}}))
    assert lose_with_it(opened, new, 3) == [0, 0, 0]
    assert new().take().number == 1


def test_a_trial_whose_owner_is_gone_from_the_workers_was_lost(crew):
    """As one whose worker was silent."""
    opened, new = crew

    def forget(connection):
        connection.execute(sa.delete(WORKERS).where(WORKERS.c.study_id == opened.study_id))
        hand_back_ownerless(connection, opened.study_id)

    for _ in range(3):
        assert new().take().number == 0
        opened.database.run(forget)
    assert new().take().number == 1


def test_failing_and_taking_are_one_step(crew):
    """Run once more after its answer got lost, it finds both done."""
    opened, new = crew
    lose_with_it(opened, new, 3)
    claim = new(database=AnswerLost(opened.database.engine)).take()
    assert (claim.number, claim.attempt) == (1, 1)
    assert [trial.state for trial in opened.study.trials] == [TrialState.FAIL, TrialState.RUNNING]
