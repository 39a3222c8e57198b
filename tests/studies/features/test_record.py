"""A whole study on features: what its records say, and what is exported."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from spaces import Float
from studies import Study
from studies.events import Best, Progress, Watcher
from studies.features import FEATURES, Features
from studies.objective import Objective
from studies.stopping import StopRequest
from studies.trials import outcome_of
from tests.fakes import run_tiny
from tests.studies.features.tiny import RECIPE, dataset


def test_a_study_on_features_says_so(folder, warm, tmp_path):
    """What a trial was trained on stands in its outcome in the database."""
    space = replace(RECIPE, dropout=Float(0.0, 0.5), epochs=1)
    settings, data = Study(trials=1, pruner="none", seed=0), dataset()
    evaluate = Objective(0, folder, lambda recipe: data, Watcher(), StopRequest())
    study = run_tiny(tmp_path, settings, evaluate, space)
    assert outcome_of(study.trials[0]).path == FEATURES


@pytest.mark.slow
def test_the_whole_network_is_exported(folder, warm, tmp_path):
    """The export reads images, and its metrics hold the difference to the head on features."""
    from studies.retraining import Found, retrain_and_export

    data = dataset()
    found = Found("tiny", "val_accuracy", "maximize", Progress(1, 1, best=Best(0, 1.0, 2, {})), RECIPE, 1, 1.0)
    metrics = retrain_and_export(
        found,
        data,
        folder=folder,
        best_folder=tmp_path / "best",
        watcher=Watcher(),
        stop=lambda: False,
        features=Features(folder),
    )
    assert metrics["features"]["path"] == FEATURES
    assert 0 <= metrics["features"]["max_abs_difference"] < 1e-4
    answers = keras.models.load_model(tmp_path / "best" / "model.keras")(data.test.images)
    assert ((np.asarray(answers)[:, 0] > 0.5) == data.test.labels).mean() == metrics["test"]["accuracy"]
