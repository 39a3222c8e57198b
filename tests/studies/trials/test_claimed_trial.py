"""A claimed trial records its epochs and decides what follows each of them."""

from dataclasses import replace
from unittest.mock import Mock

import optuna
import pytest

from spaces import baseline, resolve
from studies import Study
from studies.database.claims import ClaimLostError, TrialQueue
from studies.events import EpochEnded, TrialStarted
from studies.trials.claimed_trial import Decision
from tests.support.fakes import EPOCHS, TINY, Recorder, claim_trial, joined, opened_tiny

METRICS = {TINY.metric: 0.5}


@pytest.fixture
def claim(tmp_path):
    """Claims the next trial of a study, and begins it."""
    settings = Study(trials=3)
    opened = opened_tiny(tmp_path, settings)
    queue = joined(opened, settings)

    def begun(folds=None):
        trial = claim_trial(opened.study, queue)
        trial.listener = Recorder()
        trial.begin(replace(resolve(TINY, baseline(TINY)), folds=folds))
        return trial

    yield begun
    queue.worker.deregister(opened.database)


def test_an_epoch_is_reported_and_shown_in_one_call(claim):
    """The value is the step of the pruner, and the listener sees the epoch after the start."""
    trial = claim()
    assert trial.record_epoch(1, METRICS) is Decision.CONTINUE
    assert trial.steps == {1: 0.5}
    assert trial.listener.of(TrialStarted)[0].epochs == EPOCHS
    assert [(event.epoch, event.epochs) for event in trial.listener.of(EpochEnded)] == [(1, EPOCHS)]
    assert trial.activity.metric_value == 0.5


def test_pruner_is_not_asked_for_the_baseline_or_the_last_epoch(claim, monkeypatch):
    """A pruner that prunes everything leaves trial 0, and a trial in its last epoch."""
    monkeypatch.setattr(optuna.Trial, "should_prune", lambda trial: True)
    assert claim().record_epoch(1, METRICS) is Decision.CONTINUE
    other = claim()
    assert other.record_epoch(1, METRICS) is Decision.PRUNE
    assert other.record_epoch(EPOCHS, METRICS) is Decision.CONTINUE


@pytest.mark.parametrize("folds", [None, 3])
def test_lost_claim_stops_the_training(claim, monkeypatch, folds):
    """The training ends after the epoch that can no longer be written, within a fold too."""
    trial = claim(folds)
    monkeypatch.setattr(TrialQueue, "save", Mock(side_effect=ClaimLostError("lost")))
    assert trial.record_epoch(1, METRICS) is Decision.STOP
    assert isinstance(trial.claim_lost, ClaimLostError)
