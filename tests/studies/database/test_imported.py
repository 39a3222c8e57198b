"""Trials that other programs added count as recipes of the space, or fail with a reason."""

import dataclasses

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from spaces import FineTune, Pretrained
from spaces.space import resolve
from studies import Study
from studies.database.stored_trials import outcome_of, progress
from studies.export.election import read_epoch_counts
from studies.outcome import FAILED, Best, TrialOutcome
from tests.support.fakes import EPOCHS, TINY, load_plainly, opened_tiny, run_tiny

GOOD = {"backbone.filters": 4, "dropout": 0.25, "learning_rate": 0.01, "batch_size": 128}
KINDS = {
    "backbone.filters": IntDistribution(1, 100),
    "dropout": FloatDistribution(0, 1),
    "learning_rate": FloatDistribution(1e-6, 1, log=True),
    "batch_size": CategoricalDistribution((64, 128)),
    "units": IntDistribution(1, 9),
}
UNUSABLE = {
    "no parameters": ({}, 0.99, "missing in the assignment"),
    "some parameters": ({"dropout": 0.2}, 0.99, "missing in the assignment"),
    "out of range": ({**GOOD, "dropout": 0.9}, 0.99, "dropout: got 0.9, expected a value of"),
    "off its step": ({**GOOD, "backbone.filters": 5}, 0.99, "backbone.filters: got 5, expected"),
    "unknown parameter": ({**GOOD, "units": 3}, 0.99, "units: not a parameter"),
    "percent": (GOOD, 99.0, "its value is 99, but val_accuracy is between 0 and 1"),
    "infinite": (GOOD, float("inf"), "its value is inf"),
}


def added(folder, params, **others):
    """Add a trial with wider distributions than those of the space."""
    distributions = {name: KINDS[name] for name in params}
    load_plainly(folder).add_trial(create_trial(params=params, distributions=distributions, **others))


@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes"])
def test_imported_recipe_can_be_best(tmp_path, sampler):
    """It counts as a trial, and the sampler learns from it; its epochs are unknown."""
    run_tiny(tmp_path, Study(trials=2, sampler=sampler))
    added(tmp_path, GOOD, value=0.99)
    study = run_tiny(tmp_path, Study(trials=6, sampler=sampler))
    best = progress(study, 6).best
    assert (best.number, best.value, best.epoch, best.params) == (2, 0.99, 0, GOOD)
    assert len(study.trials) == 6
    assert load_plainly(tmp_path).trials[2].state == TrialState.COMPLETE


@pytest.mark.parametrize("case", UNUSABLE)
def test_imported_trial_outside_space_fails(tmp_path, case):
    """It cannot be retrained, so it cannot be the best."""
    params, value, reason = UNUSABLE[case]
    run_tiny(tmp_path, Study(trials=2))
    added(tmp_path, params, value=value)
    study = run_tiny(tmp_path, Study(trials=4))
    assert progress(study, 4).best.number != 2
    stored = load_plainly(tmp_path).trials
    assert stored[2].state == TrialState.FAIL
    assert reason in outcome_of(stored[2]).reason


def test_imported_trials_without_value_are_kept(tmp_path):
    """Pruned and failed trials of the space stay unchanged, and only failures of this program end the search."""
    opened_tiny(tmp_path, Study(trials=7))
    for params in (GOOD, {"dropout": 0.9}) * 3:
        added(tmp_path, params, state=TrialState.FAIL)
    run_tiny(tmp_path, Study(trials=7), lambda *given: TrialOutcome(FAILED, None, None, 0, 0.0, "for a test"))
    added(tmp_path, GOOD, state=TrialState.PRUNED)
    study = run_tiny(tmp_path, Study(trials=10))
    assert [trial.state for trial in study.trials[:8]] == [*[TrialState.FAIL] * 7, TrialState.PRUNED]
    assert progress(study, 10).best is not None


def test_imported_trial_is_retrained_for_epochs_of_recipe():
    """Its own epochs are unknown."""
    recipe = resolve(TINY, GOOD)
    best = read_epoch_counts(Best(2, 0.99, 0, GOOD), recipe)
    assert (best.epoch, best.epochs) == (EPOCHS, (EPOCHS, 0))
    tuned = dataclasses.replace(recipe, backbone=Pretrained("MobileNetV2"), fine_tune=FineTune(epochs=5))
    assert read_epoch_counts(best, recipe) == best
    assert read_epoch_counts(Best(2, 0.99, 0, GOOD), tuned).epochs == (EPOCHS, 5)
