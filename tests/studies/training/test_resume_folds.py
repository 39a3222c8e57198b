"""A trial over folds that is resumed after any epoch ends as an uninterrupted one."""

import json
from dataclasses import fields, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from spaces import CNN, Augment
from studies.checkpoints.checkpoint_file import decode
from studies.checkpoints.fold_progress import FoldCheckpoints
from studies.checkpoints.study_checkpoints import StudyCheckpoints
from studies.data.dataset import Dataset
from studies.features.inputs import FeatureInputs
from studies.training.cross_validation import fold_data, train_folds
from studies.training.fit import train
from studies.training.options import TrainingOptions
from studies.training.result import EndReason, TrainingResult
from tests.support.fitting import SMALL, noisy_images
from tests.support.resumable import EveryEpoch, assert_equal

FOLDS, EPOCHS = 3, 2
RECIPE = replace(SMALL, augment=Augment(flip="horizontal"), dropout=0.3, batch_size=16, epochs=EPOCHS, folds=FOLDS)
# Within a fold, and between two of them.
EPOCHS_INTERRUPTED = [
    pytest.param(epoch, marks=pytest.mark.slow if epoch in (3, 4) else pytest.mark.exhaustive)
    for epoch in range(1, FOLDS * EPOCHS + 1)
]
# Within a fold, and between two of them.
DATASET = Dataset(noisy_images(36, 0), noisy_images(12, 1), noisy_images(6, 2), ("dark", "bright"))


def trained(checkpoints, recipe=RECIPE, **more):
    """Return the mean over the folds, the recorded epochs and the running means."""
    recorded, folds = [], []
    progress = FoldCheckpoints(checkpoints)

    def train_fold(inputs, on_epoch):
        return train(recipe, inputs, TrainingOptions(seed=1, on_epoch=on_epoch, checkpoints=progress))

    more.setdefault("on_fold", lambda fold, mean: folds.append((fold, mean)) or True)
    data = fold_data(recipe, DATASET, FeatureInputs(Path()), FOLDS)
    found = train_folds(data, train_fold, lambda *epoch: recorded.append(epoch) or True, checkpoints=progress, **more)
    return found, recorded, folds


@cache
def uninterrupted():
    """Return a training, what it recorded, and a checkpoint of each epoch."""
    checkpoints = EveryEpoch()
    return *trained(checkpoints), checkpoints.saved


@pytest.mark.parametrize("epoch", EPOCHS_INTERRUPTED)
def test_resumed_folds_equal_uninterrupted(epoch):
    """Finished folds are not trained again, the unfinished one is resumed, and the means are the same."""
    whole, recorded, folds, saved = uninterrupted()
    assert (len(recorded), len(folds)) == (FOLDS * EPOCHS, FOLDS)
    restored = []
    resumed, recorded_again, folds_again = trained(EveryEpoch(saved[epoch]), on_restored=restored.append)
    assert_equal(resumed, whole)
    assert restored == [whole.history[:epoch]]
    assert recorded_again == recorded[epoch:]
    # The running mean of a finished fold is reported again, for a database that has lost it.
    assert folds_again == folds


@pytest.mark.slow
def test_restored_fold_may_be_pruned():
    """A pruner that was not asked after a fold is asked when the trial is resumed."""
    _, recorded, _, saved = uninterrupted()
    found, recorded_again, _ = trained(EveryEpoch(saved[5]), on_fold=lambda fold, mean: fold < 2)
    assert (found.end_reason, recorded_again) == (EndReason.PRUNED, [])
    assert found.best_value == np.mean([max(m["val_accuracy"] for _, m in recorded[k : k + 2]) for k in (0, 2)])


def test_fold_of_another_model_restarts(caplog):
    """Its epochs are recorded again under their own numbers; the results of earlier folds stay."""
    _, recorded, _, saved = uninterrupted()
    found, recorded_again, _ = trained(EveryEpoch(saved[5]), replace(RECIPE, backbone=CNN(filters=8, blocks=1)))
    assert found.end_reason == EndReason.FINISHED
    assert [number for number, _ in recorded_again] == [5, 6]
    assert "restarting training" in caplog.text
    assert found.history[:4] == tuple(metrics for _, metrics in recorded[:4])
    assert [metrics["fold"] for metrics in found.history] == [1, 1, 2, 2, 3, 3]


def test_results_of_folds_are_json(tmp_path):
    """The result of a fold is stored by field names, which later versions can read."""
    state = decode(uninterrupted()[-1][3], "").state
    assert json.loads(json.dumps(state)) == state
    names = {field.name for field in fields(TrainingResult)}
    assert set(state["results"][0]) == names - {"model", "history", "unfinished_value"}
    trial = StudyCheckpoints(tmp_path).for_trial(0)
    trial.save(decode(uninterrupted()[-1][3], ""))
    assert FoldCheckpoints(trial).resume().before == EPOCHS
