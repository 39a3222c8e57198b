"""A study without an evaluated trial is restarted after a change; one with a result never is."""

import dataclasses

import pytest
from optuna.trial import TrialState

from spaces import Choice, Float
from spaces.errors import StudyError
from studies import Study
from studies.database.create_study import create_study
from studies.database.urls import sqlite_url
from studies.outcome import COMPLETE, FAILED, PRUNED, TrialOutcome
from tests.support.fakes import DATA, TINY, claim_trial, joined, load_plainly, opened_tiny, run_tiny

SETTINGS = Study(trials=3, sampler="random")
CORRECTED = {
    "space": {"space": dataclasses.replace(TINY, batch_size=Choice(32, 64), dropout=Float(0.0, 0.4))},
    "kind of a parameter": {"space": dataclasses.replace(TINY, dropout=Choice(0.1, 0.2))},
    "metric": {"space": dataclasses.replace(TINY, metric="val_loss")},
    "images": {"data": {**DATA, "images": [90, 20, 20]}},
    "seed": {"settings": Study(trials=3, sampler="random", seed=5)},
    "sampler": {"settings": Study(trials=3, sampler="tpe")},
}


def corrected(folder, space=TINY, settings=SETTINGS, data=DATA):
    """Open the study as the same command does after a change."""
    return create_study(sqlite_url(folder / "study.db"), "tiny", space, settings, data, corrects=True)


def ended(folder, state, value=None):
    """Create a study whose first trial ended in this way."""
    opened = opened_tiny(folder, SETTINGS)
    queue = joined(opened, SETTINGS)
    taken = claim_trial(opened.study, queue)
    taken.trial.suggest_categorical("batch_size", (64, 128))
    if value is not None:
        taken.report(value, 1)
    taken.end(TrialOutcome(state, value, 1, 1, 0.0, "for a test"))
    queue.worker.deregister(opened.database)


@pytest.mark.parametrize(
    ("changed", "state"),
    [*((name, FAILED) for name in CORRECTED), *(("space", state) for state in (None, PRUNED, "waiting"))],
)
def test_changed_study_without_results_is_restarted(tmp_path, changed, state):
    """Failed, diverged and interrupted trials are no results; nothing of the old study is left."""
    if state:
        ended(tmp_path, state)
    change = CORRECTED[changed]
    before = opened_tiny(tmp_path, SETTINGS).identity
    opened = corrected(tmp_path, **change)
    assert (opened.identity != before, opened.study.trials) == (True, [])
    assert "restarted study 'tiny'" in opened.notices[0]
    assert corrected(tmp_path, **change).notices == ()
    with pytest.raises(StudyError, match=r"ha(ve|s) changed"):
        run_tiny(tmp_path, SETTINGS)


@pytest.mark.parametrize("state", [COMPLETE, PRUNED])
def test_changed_study_with_evaluated_trial_is_refused(tmp_path, state):
    """Its values belong to the old space."""
    ended(tmp_path, state, 0.5)
    with pytest.raises(StudyError, match="has changed"):
        corrected(tmp_path, **CORRECTED["space"])
    assert len(opened_tiny(tmp_path, SETTINGS).study.trials) == 1


def test_changed_study_with_running_worker_is_refused(tmp_path):
    """The message names the command that stops the worker."""
    opened = opened_tiny(tmp_path, SETTINGS)
    queue = joined(opened, SETTINGS)
    claim_trial(opened.study, queue)
    with pytest.raises(StudyError, match=r"has 1 worker running"):
        corrected(tmp_path, **CORRECTED["space"])
    queue.worker.deregister(opened.database)
    assert corrected(tmp_path, **CORRECTED["space"]).notices


def test_enqueued_trials_follow_baseline_after_restart(tmp_path):
    """They are checked against the new space."""
    ended(tmp_path, FAILED)
    for dropout in (0.35, 0.45):
        load_plainly(tmp_path).enqueue_trial({"dropout": dropout})
    space = CORRECTED["space"]["space"]
    corrected(tmp_path, space)
    study = run_tiny(tmp_path, Study(trials=4, sampler="random"), space=space)
    assert [trial.params["dropout"] for trial in study.trials[:2]] == [0.2, 0.35]
    assert study.trials[0].params["batch_size"] == 32
    assert (study.trials[2].state, study.trials[3].state.is_finished()) == (TrialState.FAIL, True)
