"""CMA-ES draws what Optuna's own sampler draws, and reads nothing of the database but trials."""

import datetime
import json
import pickle
from collections.abc import Callable

import optuna
import pytest
import sqlalchemy as sa
from optuna.samplers import CmaEsSampler
from optuna.trial import TrialState

from studies import Study
from studies.database.connection import engine_of
from studies.database.optuna_tables import PARAMS, SYSTEM_ATTRIBUTES
from studies.trials.samplers import make_sampler
from tests.support.fakes import run_tiny

GENERATION = "cma:generation"


class Planted:
    """An object that, where it is read, would write a file."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return (open, (str(self.file), "w"))


def small(trial):
    """Three numbers."""
    return sum((trial.suggest_float(name, -1.0, 1.0) - 0.3) ** 2 for name in "abc")


def mixed(trial):
    """Numbers with steps and logarithms, and a choice, which CMA-ES leaves to another sampler."""
    value = small(trial) + abs(trial.suggest_int("d", 1, 20, log=True) - 3)
    value += trial.suggest_float("e", 0.0, 1.0, step=0.1) + trial.suggest_float("f", 1e-5, 1e-1, log=True)
    return value + (trial.suggest_categorical("g", ["x", "y"]) == "x")


def searched(sampler: Callable, objective=small, direction="minimize", pruned=()):
    """A study whose every trial has a sampler of its own, as our workers do."""
    study = optuna.create_study(storage=optuna.storages.InMemoryStorage(), study_name="a", direction=direction)
    for number in range(40):
        study.sampler = sampler(number)
        trial = study.ask()
        value = objective(trial)
        if number in pruned:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, value)
    return study.trials


@pytest.mark.parametrize(
    "search",
    [{}, {"objective": mixed}, {"direction": "maximize"}, {"objective": mixed, "pruned": {8, 9, 10, 19, 28}}],
    ids=["three numbers", "mixed", "maximize", "some pruned"],
)
def test_it_draws_what_plain_optuna_draws(search):
    """The optimizer that is rebuilt for every trial is, to the last bit, the one that Optuna stores."""
    ours = searched(lambda number: make_sampler("cmaes", number), **search)
    plain = searched(lambda number: CmaEsSampler(seed=number, warn_independent_sampling=False), **search)
    assert [trial.params for trial in ours] == [trial.params for trial in plain]
    assert max(trial.system_attrs.get(GENERATION, 0) for trial in ours) > 1


def test_nothing_of_the_optimizer_is_stored():
    """A trial stores the number of its generation only."""
    trials = searched(lambda number: make_sampler("cmaes", number))
    assert {key for trial in trials for key in trial.system_attrs if key.startswith("cma")} == {GENERATION}


def test_the_trials_that_ended_first_make_a_generation(monkeypatch):
    """One that another worker ends later, whatever its number, changes no generation that was complete before."""
    trials = searched(lambda number: make_sampler("cmaes", number))
    late = next(trial for trial in trials if trial.system_attrs.get(GENERATION) == 0)
    late.datetime_complete += datetime.timedelta(days=1)
    # Two workers have drawn one trial more than the generation needs.
    next(trial for trial in trials if trial.system_attrs.get(GENERATION) == 1).system_attrs[GENERATION] = 0
    study = optuna.create_study()
    told = []

    def tell(optimizer, solutions):
        told.extend(solutions)
        optimizer._g += 1

    monkeypatch.setattr("cmaes.CMA.tell", tell)
    study.add_trials(trials)
    study.sampler = make_sampler("cmaes", 99)
    small(study.ask())
    assert told
    assert late.value not in [value for _, value in told]


@pytest.mark.parametrize(
    "forged",
    [10**30, -1, 1.0, True, None, "1", [1], {"a": 1}, "generation" * 10_000],
    ids=lambda forged: str(forged)[:9],
)
def test_a_forged_generation_is_no_generation(tmp_path, forged):
    """Whatever a trial says of its generation, the next one is drawn."""
    study = run_tiny(tmp_path, Study(trials=12, sampler="cmaes", pruner="none"))
    write(study, SYSTEM_ATTRIBUTES, {"value_json": json.dumps(forged)}, SYSTEM_ATTRIBUTES.c.key == GENERATION)
    resumed = run_tiny(tmp_path, Study(trials=14, sampler="cmaes", pruner="none"))
    assert [trial.state for trial in resumed.trials[12:]] == [TrialState.COMPLETE] * 2


@pytest.mark.parametrize("forged", [1e308, -1e308, -5.0])
def test_forged_parameters_are_not_told(tmp_path, forged):
    """A trial whose parameters the space cannot hold is left out; its numbers reach no optimizer."""
    study = run_tiny(tmp_path, Study(trials=12, sampler="cmaes", pruner="none"))
    write(study, PARAMS, {"param_value": forged}, PARAMS.c.param_name == "dropout")
    resumed = run_tiny(tmp_path, Study(trials=14, sampler="cmaes", pruner="none"))
    assert [trial.state for trial in resumed.trials[12:]] == [TrialState.COMPLETE] * 2


def test_an_optimizer_that_was_planted_in_the_database_is_not_read(tmp_path):
    """A user who may write to the database cannot run anything on the workers."""
    planted = tmp_path / "planted"
    study = run_tiny(tmp_path, Study(trials=12, sampler="cmaes", pruner="none"))
    poison = json.dumps(pickle.dumps(Planted(planted)).hex())
    with engine_of(study).begin() as connection:
        rows = [{"trial_id": trial._trial_id, "key": "cma:optimizer:0", "value_json": poison} for trial in study.trials]
        connection.execute(sa.insert(SYSTEM_ATTRIBUTES).values(rows))
    run_tiny(tmp_path, Study(trials=14, sampler="cmaes", pruner="none"))
    assert not planted.exists()


def write(study, table, values, where):
    """Change rows of trials that have ended, as Optuna itself would refuse to."""
    with engine_of(study).begin() as connection:
        assert connection.execute(sa.update(table).where(where).values(values)).rowcount
