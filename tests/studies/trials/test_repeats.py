"""A recipe is evaluated once, and a finite space that is exhausted ends the search."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import pytest
from optuna.trial import create_trial

from spaces import CNN, Choice, Constant, Digits, Float, Int, Space
from spaces.space import combinations, resolve
from studies import Study
from studies.database.stored_trials import key_of, progress
from studies.outcome import COMPLETE, FAILED, PRUNED, WAITING, TrialOutcome
from studies.trials.repeats import is_exhausted, max_distinct_trials
from studies.workers.worker import Worker
from tests.support.fakes import joined, load_plainly, opened_tiny, run_context, run_tiny

FINITE = Space(
    data=Digits(),
    backbone=Choice(CNN(filters=Choice(4, 8), blocks=1), large=CNN(filters=8, blocks=Int(2, 3))),
    augment=None,
    dropout=Float(0.0, 0.2, step=0.1, default=0.1),
    learning_rate=0.003,
    batch_size=64,
    schedule=Constant(),
    epochs=2,
)
SIZE = 12


def evaluate_quickly(trial, recipe, before):
    """Return a value that follows from the recipe; every third trial is pruned, every fourth fails."""
    if trial.number % 4 == 3:
        return TrialOutcome(FAILED, None, None, 0, 0.0, "for a test")
    trial.report(0.5 - recipe.dropout, 1)
    return TrialOutcome(PRUNED if trial.number % 3 == 2 else COMPLETE, 0.5 - recipe.dropout, 1, 1, 0.0)


def keys(study):
    """Return the recipes of the trials of a study."""
    return [key_of(trial.params) for trial in study.trials]


def search(folder, evaluate=evaluate_quickly, **settings):
    """Search the whole space."""
    return run_tiny(folder, Study(**{"trials": 40, "sampler": "random", **settings}), evaluate, FINITE)


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid", "cmaes"])
def test_exhausted_space_ends_the_search(tmp_path, sampler):
    """Each recipe is evaluated once, in an order that the seed determines; failed and pruned trials count too."""
    assert combinations(FINITE) == SIZE
    study = search(tmp_path, sampler=sampler)
    assert len(study.trials) == len(set(keys(study))) == SIZE
    assert is_exhausted(FINITE, progress(study, 40))
    for trial in study.trials:
        resolve(FINITE, trial.params)
    assert len(search(tmp_path, sampler=sampler).trials) == SIZE
    (tmp_path / "other").mkdir()
    assert keys(search(tmp_path / "other", sampler=sampler)) == keys(study)


@pytest.mark.parametrize("sampler", ["random", "grid"])
def test_enqueued_repeat_is_evaluated_again(tmp_path, sampler):
    """It does not replace any other recipe."""
    search(tmp_path, trials=1, sampler=sampler)
    for _ in range(2):
        load_plainly(tmp_path).enqueue_trial({"backbone": "cnn", "backbone.cnn.filters": 8, "dropout": 0.1 + 0.1})
    study = search(tmp_path, sampler=sampler)
    assert len(study.trials) == SIZE + 1
    assert len(set(keys(study))) == SIZE
    assert max_distinct_trials(FINITE, study.trials) == SIZE + 1


def test_recipe_added_with_its_value_is_not_evaluated(tmp_path):
    """Its value is known."""
    search(tmp_path, trials=1)
    first = load_plainly(tmp_path).trials[0]
    params = {**first.params, "dropout": 0.2}
    load_plainly(tmp_path).add_trial(create_trial(params=params, distributions=first.distributions, value=0.9))
    study = search(tmp_path)
    assert len(study.trials) == len(set(keys(study))) == SIZE


def test_invalid_trial_is_no_recipe(tmp_path):
    """A trial whose values the space refuses does not count as evaluated."""
    search(tmp_path, trials=1)
    for _ in range(3):
        load_plainly(tmp_path).enqueue_trial({"dropout": 0.7})
    study = search(tmp_path)
    assert len(study.trials) == SIZE + 3
    assert is_exhausted(FINITE, progress(study, 40))


def test_workers_share_the_recipes(tmp_path):
    """No recipe is evaluated twice, and none is left out."""
    settings = Study(trials=40, sampler="random")
    opened_tiny(tmp_path, settings, FINITE)

    def work(_):
        opened = opened_tiny(tmp_path, settings, FINITE)
        queue = joined(opened, settings, FINITE)
        Worker(opened, FINITE, settings, queue, evaluate_quickly, run_context()).run()
        queue.worker.deregister(opened.database)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    study = load_plainly(tmp_path)
    assert len(study.trials) == len(set(keys(study))) == SIZE


def test_interrupted_trial_is_not_a_repeat(tmp_path):
    """A trial that was requeued keeps its recipe."""
    calls = []

    def interrupted(trial, recipe, before):
        calls.append((trial.number, key_of(trial.trial.params)))
        waits = len(calls) == 3
        return TrialOutcome(WAITING, None, None, 0, 0.0, "") if waits else evaluate_quickly(trial, recipe, before)

    study = search(tmp_path, interrupted)
    assert calls[2] == calls[3]
    assert len(study.trials) == len(set(keys(study))) == SIZE


def test_space_without_parameters_has_one_recipe(tmp_path):
    """The study ends after the baseline."""
    fixed = dataclasses.replace(FINITE, backbone=CNN(filters=4, blocks=1), dropout=0.1)
    assert len(run_tiny(tmp_path, Study(trials=5), evaluate_quickly, fixed).trials) == 1
