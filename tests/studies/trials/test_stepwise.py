"""The `stepwise` sampler: one change after the other, each from the best trial so far."""

from dataclasses import replace

import pytest

from spaces import CNN, Choice, Constant, Digits, Float, Int, Space
from spaces.errors import SpaceError
from spaces.space import baseline, resolve
from studies import Study
from studies.database.stored_trials import key_of
from studies.outcome import COMPLETE, TrialOutcome
from studies.trials.samplers import max_trials
from studies.trials.stepwise import Step, next_assignment, steps
from tests.support.fakes import run_tiny

SPACE = Space(
    data=Digits(),
    backbone=Choice(small=CNN(filters=Choice(4, 8), blocks=1), large=CNN(filters=Choice(4, 16), blocks=2)),
    augment=None,
    dropout=0.2,
    learning_rate=0.003,
    batch_size=Choice(32, 64),
    schedule=Constant(),
    epochs=Int(1, 2),
)
FIRST = {"backbone": "small", "backbone.small.filters": 4, "batch_size": 32, "epochs": 1}


def test_steps_are_the_other_values_of_finite_parameters_in_order():
    """A parameter that several options have is one slot; a `Float` without a step has no steps."""
    expected = [("backbone", "large"), ("backbone.filters", 8), ("backbone.filters", 16), ("batch_size", 64)]
    assert steps(SPACE) == [Step(*each) for each in [*expected, ("epochs", 2)]]
    assert max_trials(SPACE, "stepwise") == 6


@pytest.mark.parametrize(
    ("number", "base", "changed"),
    [
        (1, {}, {"backbone": "large", "backbone.large.filters": 4}),
        (2, {}, {"backbone": "small", "backbone.small.filters": 8}),
        (4, {"epochs": 2}, {"batch_size": 64, "epochs": 2}),
        (5, {"batch_size": 64}, {"epochs": 2, "batch_size": 64}),
    ],
)
def test_trial_changes_one_parameter_of_the_best(number, base, changed):
    """All other values are those of the best trial; a value moves to the new option where that has it, too."""
    found = next_assignment(SPACE, number, FIRST | base, ())
    resolve(SPACE, found)
    assert {name: found[name] for name in changed} == changed
    kept = {name: value for name, value in (FIRST | base).items() if not name.startswith("backbone")}
    assert {name: found[name] for name in kept if name not in changed} == {
        name: value for name, value in kept.items() if name not in changed
    }


def test_step_that_does_not_exist_or_was_tried_is_skipped():
    """The following steps are taken instead, then the earlier ones; None remains after all."""
    third = next_assignment(SPACE, 3, FIRST, ())
    assert (third["backbone"], third["batch_size"]) == ("small", 64)
    tried, found = set(), []
    while (one := next_assignment(SPACE, 1, FIRST, tried)) is not None:
        tried.add(key_of(one))
        found.append(one)
    assert len(found) == 4


def test_study_ends_after_its_steps_and_finds_the_best_of_each(tmp_path):
    """Each step is kept if it is better, and never taken twice, also by a run that resumes."""

    def evaluate(trial, recipe, before):
        value = 0.01 * recipe.backbone.filters + 0.1 * recipe.backbone.blocks - 0.001 * recipe.batch_size
        return TrialOutcome(COMPLETE, value, 1, 1, 0.0)

    settings = Study(trials=3, sampler="stepwise")
    run_tiny(tmp_path, settings, evaluate, SPACE)
    study = run_tiny(tmp_path, Study(trials=40, sampler="stepwise"), evaluate, SPACE)
    keys = [key_of(trial.params) for trial in study.trials]
    assert len(keys) == len({*keys}) == 6
    assert study.trials[0].params == baseline(SPACE)
    best = study.best_trial.params
    assert (best["backbone"], best["backbone.large.filters"], best["batch_size"]) == ("large", 16, 32)


def test_parameter_without_steps_is_refused():
    """A `Float` without a step would never be changed."""
    with pytest.raises(SpaceError, match=r"^dropout: the stepwise sampler requires a step"):
        max_trials(replace(SPACE, dropout=Float(0.0, 0.4)), "stepwise")


def test_recipes_of_the_user_come_before_the_steps(tmp_path):
    """They take none of the steps."""

    def evaluate(trial, recipe, before):
        return TrialOutcome(COMPLETE, 0.5, 1, 1, 0.0)

    first = [{"batch_size": 64, "epochs": 2}]
    study = run_tiny(tmp_path, Study(trials=40, sampler="stepwise", first=first), evaluate, SPACE)
    assert [trial.params.get("epochs") for trial in study.trials[:2]] == [1, 2]
    assert len(study.trials) == 7
