"""A worker never runs what stands in the database."""

import json
import pickle

import optuna
import pytest
import sqlalchemy as sa
from optuna.trial import TrialState

from spaces.errors import StudyError
from studies import Study
from studies.database.reading import SYSTEM_ATTRIBUTES
from studies.sampling import make_sampler
from studies.storage import engine_of
from tests.fakes import run_tiny


class Planted:
    """An object that, where it is read, would write a file."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return (open, (str(self.file), "w"))


def searched(sampler):
    """The parameters of a study whose every trial has a sampler of its own, as our workers do."""
    study = optuna.create_study(storage=optuna.storages.InMemoryStorage(), study_name="a")
    for number in range(40):
        study.sampler = sampler(number)
        trial = study.ask()
        value = sum((trial.suggest_float(name, -1.0, 1.0) - 0.3) ** 2 for name in "abc")
        study.tell(trial, value)
    assert any("cma:optimizer" in key for trial in study.trials for key in trial.system_attrs)
    return [trial.params for trial in study.trials]


def test_the_optimizer_goes_on_as_plain_optunas_does():
    """What is stored is restored, and every trial is the same."""
    ours = searched(lambda number: make_sampler("cmaes", number))
    plain = searched(lambda number: optuna.samplers.CmaEsSampler(seed=number, warn_independent_sampling=False))
    assert ours == plain


def test_code_that_was_planted_in_the_database_is_refused(tmp_path):
    """Whoever may write to the database cannot run anything on the workers."""
    planted = tmp_path / "planted"
    study = run_tiny(tmp_path, Study(trials=5, sampler="cmaes", pruner="none"))
    complete = next(trial for trial in study.trials if trial.state == TrialState.COMPLETE)
    poison = pickle.dumps(Planted(planted)).hex()
    store(study, complete, "cma:optimizer:0", poison)
    with pytest.raises(StudyError, match="somebody has changed the database"):
        run_tiny(tmp_path, Study(trials=9, sampler="cmaes", pruner="none"))
    assert not planted.exists()


def store(study, trial, key, value):
    """Write an attribute of a trial that has ended, as Optuna itself would refuse to."""
    with engine_of(study).begin() as connection:
        row = {"trial_id": trial._trial_id, "key": key, "value_json": json.dumps(value)}
        connection.execute(sa.insert(SYSTEM_ATTRIBUTES).values(row))
