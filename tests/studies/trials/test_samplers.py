"""Samplers: which recipe a trial evaluates."""

import sys
from importlib.util import find_spec

import pytest

from spaces import baseline, resolve
from spaces.errors import SpaceError
from studies import Study
from studies.trials.samplers import initial_assignments, make_sampler, max_trials, trial_seed
from tests.studies.trials.test_repeats import FINITE, SIZE
from tests.support.fakes import TINY, run_tiny

NEEDS_TORCH = [pytest.mark.optional, pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed")]


def test_trial_seed_follows_from_study_seed_and_number():
    """The seeds of 200 trials differ, and those of another study too."""
    seeds, again, other = ([trial_seed(study, number) for number in range(200)] for study in (0, 0, 1))
    assert seeds == again
    assert len({*seeds, *other}) == 400


def test_grid_holds_every_recipe_once():
    """It starts with the baseline; a conditional parameter multiplies only its own option."""
    points = initial_assignments(FINITE, "grid", seed=3)
    assert points[0] == baseline(FINITE)
    assert len(points) == max_trials(FINITE, "grid") == SIZE
    recipes = [resolve(FINITE, point) for point in points]
    assert len(set(map(repr, recipes))) == len(recipes)


@pytest.mark.parametrize("sampler", ["tpe", "grid"])
def test_recipes_of_the_user_follow_the_baseline(tmp_path, sampler):
    """They come in their order, completed by the defaults; one that was there before is left out."""
    wanted = [{"dropout": 0.2}, {"backbone": "large", "backbone.large.blocks": 3.0}, {"dropout": 0.2}, {}]
    points = initial_assignments(FINITE, sampler, 0, wanted)
    assert points[:3] == [
        baseline(FINITE),
        baseline(FINITE) | {"dropout": 0.2},
        {"backbone": "large", "backbone.large.blocks": 3, "dropout": 0.1},
    ]
    assert len(points) == (3 if sampler == "tpe" else SIZE)
    study = run_tiny(tmp_path, Study(sampler=sampler, trials=5, first=wanted), space=FINITE)
    assert [trial.params for trial in study.trials[:3]] == points[:3]
    assert len({str(sorted(trial.params.items())) for trial in study.trials}) == 5


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"dropot": 0.2}, r"first\[0\]: dropot: not a parameter"),
        ({"dropout": 0.7}, r"first\[0\]: dropout: got 0.7, expected a value of Float"),
        ({"backbone": "small"}, r"first\[0\]: backbone: got 'small'"),
        ({"backbone.large.blocks": 2}, r"first\[0\]: backbone.large.blocks: not a parameter of this space under"),
    ],
)
def test_recipe_of_the_user_that_is_not_in_the_space_is_refused(recipe, message):
    """The message names the recipe, the parameter and what it can be."""
    with pytest.raises(SpaceError, match=message):
        initial_assignments(FINITE, "tpe", 0, [recipe])


@pytest.mark.parametrize("first", [[1], {"dropout": 0.1}, "dropout", [{1: 2}]])
def test_recipes_of_the_user_are_dicts(first):
    """Anything else is an error of the settings."""
    with pytest.raises(SpaceError, match="first: got"):
        Study(first=first)


def test_grid_requires_steps():
    """A real number without a step has no grid; the message names it."""
    with pytest.raises(SpaceError, match=r"^dropout: the grid sampler requires a step"):
        max_trials(TINY, "grid")


@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes", pytest.param("gp", marks=NEEDS_TORCH)])
def test_same_seed_gives_the_same_trials(tmp_path, sampler):
    """Same seed: the same parameters and values, trial by trial; another seed changes every trial but the baseline."""
    runs = []
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        (tmp_path / name).mkdir()
        study = run_tiny(tmp_path / name, Study(sampler=sampler, trials=16, seed=seed))
        runs.append([(trial.params, trial.value, trial.state) for trial in study.trials])
    assert runs[0] == runs[1]
    assert len({params["dropout"] for params, _, _ in runs[0]}) > 10
    assert runs[0][0] == runs[2][0]
    assert runs[0][1] != runs[2][1]


def test_missing_sampler_names_its_extra(monkeypatch):
    """The Gaussian-process sampler names the extra it needs."""
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(SpaceError, match=r"pip install 'search\[gp\]'"):
        make_sampler("gp", 0)
