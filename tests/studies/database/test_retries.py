"""A trial that keeps crashing its workers fails, and the study continues."""

from dataclasses import replace

import pytest
import sqlalchemy as sa
from optuna.trial import TrialState

from studies.database.claims import NoTrialLeft
from studies.database.lost_workers import requeue_orphaned_trials
from studies.database.stored_trials import outcome_of
from studies.database.tables import WORKERS, read_epochs
from studies.database.trial_writes import PendingWrites
from studies.settings import Study
from tests.studies.database.test_claims import AnswerLost
from tests.support.fakes import beat, joined, lose


@pytest.fixture
def crew(open_worker):
    """Create a study of two trials, and a function that creates workers."""
    opened = open_worker(2)
    return opened, lambda **settings: replace(joined(opened, Study(trials=2)), **settings)


def lose_with_it(opened, new, times, epochs=(), **settings):
    """Let workers claim a trial, write epochs and crash; returns the numbers of their trials."""
    numbers = []
    for _ in range(times):
        queue = new(**settings)
        claim = queue.claim()
        numbers.append(claim.number)
        queue.save(claim, PendingWrites(epochs={epoch: {"loss": 1.0} for epoch in epochs}))
        lose(opened, queue)
    return numbers


def test_trial_fails_after_three_crashes(crew):
    """The outcome has the reason, and the study ends without further trials once its last one has crashed."""
    opened, new = crew
    assert lose_with_it(opened, new, 6) == [0, 0, 0, 1, 1, 1]
    assert new().claim() == NoTrialLeft(study_finished=True)
    for trial in opened.study.trials:
        outcome = outcome_of(trial)
        assert (trial.state, outcome.state, outcome.epochs) == (TrialState.FAIL, "failed", 0)
        assert outcome.reason == "3 workers crashed on it without completing an epoch"
        assert trial.datetime_complete is not None


@pytest.mark.parametrize("retries", [0, 4])
def test_number_of_retries_is_configurable(crew, retries):
    """Zero retries fail the trial after the first crash."""
    assert lose_with_it(*crew, retries + 2, max_retries=retries) == [0] * (retries + 1) + [1]


def test_further_epoch_resets_crash_count(crew):
    """A trial that progresses is retried again and again; one that repeats its epochs fails and keeps its curve."""
    opened, new = crew
    for epoch in range(1, 4):
        assert lose_with_it(opened, new, 2, range(1, epoch + 1)) == [0, 0]
    assert lose_with_it(opened, new, 3, (1, 2, 3)) == [0, 0, 1]
    assert outcome_of(opened.study.trials[0]).epochs == 3
    assert len(read_epochs(opened.database.engine, opened.study.trials[0]._trial_id)) == 3


def test_released_trial_has_no_crash(crew):
    """Neither a release, nor a normal end, nor a kill while stopping counts as a crash."""
    opened, new = crew
    for _ in range(4):
        queue = new()
        queue.release(queue.claim(), PendingWrites())
        queue = new()
        queue.claim()
        queue.worker.deregister(opened.database)
        assert opened.study.trials[0].state == TrialState.WAITING
        queue = new()
        queue.claim()
        beat(opened, queue, is_stopping=True)
        lose(opened, queue)
    assert new().claim().number == 0


def test_released_epoch_resets_crash_count(crew):
    """Progress before a release counts."""
    opened, new = crew
    lose_with_it(opened, new, 2)
    queue = new()
    queue.release(queue.claim(), PendingWrites(epochs={1: {"loss": 1.0}}))
    assert lose_with_it(opened, new, 4) == [0, 0, 0, 1]


def test_orphaned_trial_counts_as_crashed(crew):
    """The row of its worker has been deleted."""
    opened, new = crew

    def forget(connection):
        connection.execute(sa.delete(WORKERS).where(WORKERS.c.study_id == opened.study_id))
        requeue_orphaned_trials(connection, opened.study_id)

    for _ in range(3):
        assert new().claim().number == 0
        opened.database.run(forget)
    assert new().claim().number == 1


def test_repeated_claim_fails_trial_once(crew):
    """A second try of the transaction finds its work done."""
    opened, new = crew
    lose_with_it(opened, new, 3)
    claim = new(database=AnswerLost(opened.database.engine)).claim()
    assert (claim.number, claim.attempt) == (1, 1)
    assert [trial.state for trial in opened.study.trials] == [TrialState.FAIL, TrialState.RUNNING]
