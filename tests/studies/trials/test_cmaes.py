"""CMA-ES draws what Optuna's own sampler draws, and reads nothing of the database but trials."""

import datetime
import json
import pickle

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
    """Writes a file when it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return (open, (str(self.file), "w"))


def small(trial):
    """Suggest three numbers."""
    return sum((trial.suggest_float(name, -1.0, 1.0) - 0.3) ** 2 for name in "abc")


def mixed(trial):
    """Suggest steps, logarithms and a choice, which CMA-ES leaves to another sampler."""
    value = small(trial) + abs(trial.suggest_int("d", 1, 20, log=True) - 3)
    value += trial.suggest_float("e", 0.0, 1.0, step=0.1) + trial.suggest_float("f", 1e-5, 1e-1, log=True)
    return value + (trial.suggest_categorical("g", ["x", "y"]) == "x")


def searched(sampler, objective=small, direction="minimize", pruned=()):
    """Return the trials of a study that has a new sampler for each, as workers do."""
    study = optuna.create_study(storage=optuna.storages.InMemoryStorage(), study_name="a", direction=direction)
    for number in range(40):
        study.sampler = sampler(number)
        trial = study.ask()
        value = objective(trial)
        study.tell(trial, **({"state": TrialState.PRUNED} if number in pruned else {"values": value}))
    return study.trials


@pytest.mark.parametrize(
    "search",
    [{}, {"objective": mixed}, {"direction": "maximize"}, {"objective": mixed, "pruned": {8, 9, 10, 19, 28}}],
    ids=["three numbers", "mixed", "maximize", "some pruned"],
)
def test_trials_equal_those_of_plain_optuna(search):
    """The optimizer is not stored: rebuilt for every trial from its generation, it is the one of Optuna to the bit."""
    ours = searched(lambda number: make_sampler("cmaes", number), **search)
    plain = searched(lambda number: CmaEsSampler(seed=number, warn_independent_sampling=False), **search)
    assert [trial.params for trial in ours] == [trial.params for trial in plain]
    assert max(trial.system_attrs.get(GENERATION, 0) for trial in ours) > 1
    assert {key for trial in ours for key in trial.system_attrs if key.startswith("cma")} == {GENERATION}


def test_generation_consists_of_the_trials_that_ended_first(monkeypatch):
    """A trial that ends later, whatever its number, changes no complete generation."""
    trials = searched(lambda number: make_sampler("cmaes", number))
    late = next(trial for trial in trials if trial.system_attrs.get(GENERATION) == 0)
    late.datetime_complete += datetime.timedelta(days=1)
    # Two workers have drawn one trial more than the generation needs.
    next(trial for trial in trials if trial.system_attrs.get(GENERATION) == 1).system_attrs[GENERATION] = 0
    study = optuna.create_study()
    solutions_told = []

    def tell(optimizer, solutions):
        solutions_told.extend(solutions)
        optimizer._g += 1

    monkeypatch.setattr("cmaes.CMA.tell", tell)
    study.add_trials(trials)
    study.sampler = make_sampler("cmaes", 99)
    small(study.ask())
    assert solutions_told
    assert late.value not in [value for _, value in solutions_told]


GENERATIONS = [10**30, -1, 1.0, True, None, "1", [1], {"a": 1}, "generation" * 10_000]


@pytest.mark.parametrize(
    ("table", "column", "key", "forged"),
    [
        *((SYSTEM_ATTRIBUTES, "value_json", SYSTEM_ATTRIBUTES.c.key == GENERATION, json.dumps(n)) for n in GENERATIONS),
        *((PARAMS, "param_value", PARAMS.c.param_name == "dropout", value) for value in (1e308, -1e308, -5.0)),
    ],
    ids=lambda value: str(value)[:9],
)
def test_forged_trials_are_ignored(tmp_path, table, column, key, forged):
    """The next trial is drawn, whatever generation or parameters, even outside the space, are stored."""
    study = run_tiny(tmp_path, Study(trials=12, sampler="cmaes", pruner="none"))
    with engine_of(study).begin() as connection:
        assert connection.execute(sa.update(table).where(key).values({column: forged})).rowcount
    resumed = run_tiny(tmp_path, Study(trials=14, sampler="cmaes", pruner="none"))
    assert [trial.state for trial in resumed.trials[12:]] == [TrialState.COMPLETE] * 2


def test_planted_optimizer_is_not_unpickled(tmp_path):
    """Write access to the database does not allow running code on the workers."""
    planted = tmp_path / "planted"
    study = run_tiny(tmp_path, Study(trials=12, sampler="cmaes", pruner="none"))
    poison = json.dumps(pickle.dumps(Planted(planted)).hex())
    with engine_of(study).begin() as connection:
        rows = [{"trial_id": trial._trial_id, "key": "cma:optimizer:0", "value_json": poison} for trial in study.trials]
        connection.execute(sa.insert(SYSTEM_ATTRIBUTES).values(rows))
    run_tiny(tmp_path, Study(trials=14, sampler="cmaes", pruner="none"))
    assert not planted.exists()
