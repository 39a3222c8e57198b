"""Trials that crash the process that evaluates them, like a fault in native code or an out-of-memory kill."""

import subprocess
import sys

import optuna
import pytest
from optuna.trial import TrialState

from studies.database.stored_trials import outcome_of
from studies.database.urls import sqlite_url

SPACE = """
import os
import signal

import keras

from spaces import Choice, Constant, Custom, Digits, Space
from studies import Study


def build(recipe, input_shape, outputs):
    units = recipe.model.units
    if units in {deadly}:
        os.kill(os.getpid(), signal.SIGKILL)
    layers = [keras.layers.Flatten(), keras.layers.Dense(units, "relu"), keras.layers.Dense(outputs)]
    return keras.Sequential([keras.Input(input_shape), *layers])


space = Space(
    data=Digits(), model=Custom(build, units=Choice(4, 5, 6, 7, default=4)), augment=None, batch_size=128, epochs=2,
    learning_rate=0.01, dropout=0.0, schedule=Constant(),
)
study = Study(trials=4, sampler="grid", pruner="none", devices="cpu", workers={workers}, retries=1)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "deadly"), [(1, {4, 6, 7}), (2, {6})])
def test_trials_that_crash_their_workers_fail_and_the_others_complete(tmp_path, workers, deadly):
    """Also if the baseline crashes, or several trials, one right after another."""
    (tmp_path / "mine.py").write_text(SPACE.format(workers=workers, deadly=deadly))
    command = [sys.executable, "-m", "search", "run", "mine.py", "--no-export"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    storage = optuna.storages.RDBStorage(sqlite_url(tmp_path / "runs" / "mine" / "study.db"))
    trials = optuna.load_study(study_name="mine", storage=storage).get_trials(deepcopy=False)
    storage.engine.dispose()
    assert [trial.number for trial in trials] == [0, 1, 2, 3]
    failed = [trial for trial in trials if trial.params["model.units"] in deadly]
    assert {trial.state for trial in failed} == {TrialState.FAIL}
    assert {trial.state for trial in trials if trial not in failed} == {TrialState.COMPLETE}
    reason = "2 workers crashed on it without completing an epoch"
    assert {outcome_of(trial).reason for trial in failed} == {reason}
    listed = subprocess.run([*command[:3], "trials", "mine"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert listed.stdout.count("2 workers crashed") == len(deadly)
