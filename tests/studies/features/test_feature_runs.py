"""A study that trains on features: its records and its export."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from spaces import CustomData, Float
from spaces.errors import NoResultError
from spaces.loading import LoadedSpace
from studies import Study
from studies.database.stored_trials import outcome_of
from studies.features.eligibility import FEATURES
from studies.outcome import Best, Progress
from studies.run import run
from studies.status.trial_table import summarize_trials
from studies.stop_request import StopRequest
from studies.trials.evaluate import TrialEvaluator
from tests.studies.features.tiny_backbone import RECIPE, dataset
from tests.support.fakes import Recorder, run_context, run_tiny

SELDOM = {"heartbeat_seconds": 60.0, "lost_after_seconds": 300.0}
"""Avoids a heartbeat that resets the time limit during a test."""


def test_outcome_records_training_on_features(folder, warm, tmp_path):
    """The outcome in the database says what a trial was trained on."""
    space, settings = replace(RECIPE, dropout=Float(0.0, 0.5), epochs=1), Study(trials=1, pruner="none", seed=0)
    evaluate = TrialEvaluator(run_context(dataset=dataset(), folder=folder))
    assert outcome_of(run_tiny(tmp_path, settings, evaluate, space).trials[0]).trained_on == FEATURES


class TimeIsOver(Recorder):
    """Ends the time limit during the computation of features."""

    def on_features_progress(self, done, total):
        self.stop.deadline = 0.0


def splits():
    """Return the data set as a user's function does."""
    data = dataset()
    parts = {name: getattr(data, name) for name in ("train", "validation", "test")}
    return {**{name: (part.images, part.labels) for name, part in parts.items()}, "classes": data.classes}


@pytest.mark.slow
def test_time_limit_stops_the_computation_of_features(folder, cache, tmp_path):
    """The trial is requeued, and the next run has its full time limit again."""
    declared = LoadedSpace("tiny", replace(RECIPE, data=CustomData(splits), epochs=1), None, folder)
    settings, listener = Study(trials=1, pruner="none", timeout="1h", **SELDOM), TimeIsOver()
    listener.stop = StopRequest()
    options = {"output": tmp_path, "export": False, "stop": listener.stop}
    with pytest.raises(NoResultError, match="time limit of 3600 seconds reached before any trial completed"):
        run(declared, settings, listener=listener, **options)
    assert [row.state for row in summarize_trials("tiny", tmp_path)] == ["waiting"]
    result = run(declared, settings, listener=Recorder(), **options)
    assert (result.progress.complete, result.timed_out) == (1, False)


@pytest.mark.slow
def test_full_network_is_exported(folder, warm, tmp_path):
    """The export takes images, and its metrics contain the difference to the head on features."""
    from studies.export.retraining import retrain_and_export
    from studies.export.search_summary import SearchSummary

    data = dataset()
    found = SearchSummary("tiny", "val_accuracy", "maximize", Progress(1, 1, best=Best(0, 1.0, 2, {})), RECIPE, 1, 1.0)
    metrics = retrain_and_export(found, data, run_context(folder=folder), best_folder=tmp_path / "best")
    assert metrics["features"]["path"] == FEATURES
    assert 0 <= metrics["features"]["max_abs_difference"] < 1e-4
    answers = keras.models.load_model(tmp_path / "best" / "model.keras")(data.test.images)
    assert ((np.asarray(answers)[:, 0] > 0.5) == data.test.labels).mean() == metrics["test"]["accuracy"]
