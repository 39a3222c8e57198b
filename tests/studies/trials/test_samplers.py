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
