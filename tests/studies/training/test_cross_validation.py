"""Trials over folds: their value is the mean, and the pruner sees the running mean."""

from dataclasses import replace

import numpy as np
import optuna
import pytest

from studies import Study
from studies.data.dataset import Dataset, Split
from studies.database.connection import engine_of
from studies.database.stored_trials import outcome_of, progress
from studies.database.tables import read_epochs
from studies.events import EpochEnded, TrialStarted
from studies.outcome import COMPLETE, PRUNED
from studies.training.result import EndReason, TrainingResult
from studies.trials import evaluate
from tests.support.fakes import TINY, Recorder
from tests.support.fitting import evaluate_trials, noisy_images

FOLDS = 3
SPACE = replace(TINY, epochs=2, batch_size=16, folds=FOLDS)
IMAGES = noisy_images(60, 0, shape=(8, 8, 1), noise=128, contrast=100)
SPLITS = [Split(IMAGES.images[part], IMAGES.labels[part]) for part in (slice(36), slice(36, 48), slice(48, 60))]
DATASET = Dataset(*SPLITS, ("dark", "bright"))


def search(folder, trials=1, recorder=None, pruner="none"):
    """Run trials over folds of images in memory."""
    return evaluate_trials(folder, DATASET, SPACE, Study(trials=trials, pruner=pruner), recorder)


@pytest.fixture
def scripted(monkeypatch):
    """Replace training: each call returns the next (value, best epoch)."""

    def install(*script):
        calls, steps = [], iter(script)

        def train(recipe, inputs, options):
            value, epoch, *phases = next(steps)
            calls.append((inputs.train, inputs.validation, options.seed))
            for k in range(1, 3):
                options.on_epoch(k, {"loss": 1.0, "val_loss": 0.5, "val_accuracy": value})
            return TrainingResult(None, ({}, {}), epoch, value, value / 2, EndReason.FINISHED, *(phases or (epoch, 0)))

        monkeypatch.setattr(evaluate, "train_recipe", train)
        return calls

    return install


def test_value_is_the_mean_over_the_folds(tmp_path, scripted):
    """The running mean is reported after each fold; loss, epoch and phases, which are rounded, are means too."""
    calls = scripted((0.5, 14, 3, 4), (0.7, 14, 5, 2), (0.9, 13, 4, 3))
    study = search(tmp_path)
    trial, outcome = study.trials[0], outcome_of(study.trials[0])
    assert trial.intermediate_values == pytest.approx({1: 0.5, 2: 0.6, 3: 0.7})
    assert (trial.value, outcome.loss) == (pytest.approx(0.7), pytest.approx(0.35))
    assert (outcome.state, outcome.epochs) == (COMPLETE, 6)
    assert (outcome.epoch, outcome.first_phase, outcome.second_phase) == (14, 4, 3)
    assert progress(study, 1).best.epoch == 14
    judged = np.concatenate([validation.images for _, validation, _ in calls])
    assert [(len(images), len(validation)) for images, validation, _ in calls] == [(32, 16)] * 3
    assert {image.tobytes() for image in judged} == {image.tobytes() for image in IMAGES.images[:48]}


def test_epochs_are_numbered_across_folds(tmp_path, scripted):
    """Each epoch is stored once with its fold, and shown out of the epochs of all folds."""
    scripted((0.5, 1), (0.7, 2), (0.9, 2))
    recorder = Recorder()
    study = search(tmp_path, recorder=recorder)
    stored = read_epochs(engine_of(study), study.trials[0]._trial_id)
    assert [metrics["fold"] for metrics in stored] == [1, 1, 2, 2, 3, 3]
    assert [(event.epoch, event.epochs) for event in recorder.of(EpochEnded)] == [(k, 6) for k in range(1, 7)]
    assert [event.epochs for event in recorder.of(TrialStarted)] == [6]


def test_pruner_sees_the_running_mean(tmp_path, scripted):
    """The pruner counts folds, the baseline is never pruned, and no trial is pruned after its last fold."""
    scripted(*[(0.9, 1)] * 3, *[(0.5, 1)] * 3, (0.1, 1), (0.2, 1))
    study = search(tmp_path, trials=4, pruner="asha")
    assert [outcome_of(trial).state for trial in study.trials] == [COMPLETE, COMPLETE, PRUNED, PRUNED]
    assert {outcome_of(trial).reason for trial in study.trials[2:]} == {"pruned after fold 1 of 3"}


def test_hyperband_counts_folds(tmp_path, scripted):
    """Its largest resource is the number of folds, not of epochs."""
    scripted(*[(0.9, 1)] * 3)
    study = search(tmp_path, pruner="hyperband")
    assert isinstance(study.pruner, optuna.pruners.HyperbandPruner)
    assert study.pruner._max_resource == FOLDS
