"""A trial over folds that was interrupted after any epoch ends as an undisturbed one."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from spaces import CNN, SGD, Augment, Constant, Digits, Space
from studies.checkpoints.checkpoint_file import decode, encode
from studies.checkpoints.fold_progress import FoldCheckpoints
from studies.checkpoints.study_checkpoints import StudyCheckpoints
from studies.data.dataset import Dataset
from studies.features.inputs import FeatureInputs
from studies.training.cross_validation import fold_data, train_folds
from studies.training.fit import train
from studies.training.options import TrainingOptions
from studies.training.result import EndReason
from tests.studies.training.test_resume_training import noise

FOLDS, EPOCHS = 3, 2
RECIPE = Space(
    data=Digits(),
    backbone=CNN(filters=4, blocks=1),
    augment=Augment(flip="horizontal"),
    dropout=0.3,
    learning_rate=0.01,
    schedule=Constant(),
    batch_size=16,
    epochs=EPOCHS,
    folds=FOLDS,
)
# Within a fold, and between two of them.
EPOCHS_INTERRUPTED = [
    pytest.param(epoch, marks=pytest.mark.slow if epoch in (3, 4) else pytest.mark.exhaustive)
    for epoch in range(1, FOLDS * EPOCHS + 1)
]
DATASET = Dataset(noise(36, 0), noise(12, 1), noise(6, 2), ("dark", "bright"))


class EveryEpoch:
    """Keeps the checkpoint of each epoch as bytes, and goes on from one of them."""

    is_due = is_quick = True

    def __init__(self, content=None):
        self.content, self.saved = content, {}

    def save(self, snapshot, *, copying_seconds):
        self.saved[snapshot.epoch] = b"".join(encode(snapshot, ""))

    def load(self):
        return self.content and decode(self.content, "")


def trained(checkpoints, recipe=RECIPE, **more):
    """The mean over the folds, and what was told of them."""
    told, folds = [], []
    kept = FoldCheckpoints(checkpoints)

    def train_fold(inputs, on_epoch):
        return train(recipe, inputs, TrainingOptions(seed=1, on_epoch=on_epoch, checkpoints=kept))

    more.setdefault("on_fold", lambda fold, mean: folds.append((fold, mean)) or True)
    data = fold_data(recipe, DATASET, FeatureInputs(Path()), FOLDS)
    found = train_folds(data, train_fold, lambda *epoch: told.append(epoch) or True, checkpoints=kept, **more)
    return found, told, folds


@cache
def undisturbed():
    """A training, what it told, and a checkpoint of each epoch."""
    checkpoints = EveryEpoch()
    return *trained(checkpoints), checkpoints.saved


def assert_equal(one, two):
    for name in ("history", "best_epoch", "end_reason", "first_phase", "second_phase", "best_value", "best_loss"):
        assert getattr(one, name) == getattr(two, name)
    for here, there in zip(one.model.get_weights(), two.model.get_weights(), strict=True):
        assert here.tobytes() == there.tobytes()


@pytest.mark.parametrize("epoch", EPOCHS_INTERRUPTED)
def test_folds_go_on_where_they_were(epoch):
    """Folds that are done are not trained again, the one in training goes on, and the means are the same."""
    whole, told, folds, saved = undisturbed()
    assert (len(told), len(folds)) == (FOLDS * EPOCHS, FOLDS)
    restored = []
    continued, told_again, folds_again = trained(EveryEpoch(saved[epoch]), on_restored=restored.append)
    assert_equal(continued, whole)
    assert restored == [whole.history[:epoch]]
    assert told_again == told[epoch:]
    # The running mean of a fold that is done is told once more, for a database that has lost it.
    assert folds_again == folds


@pytest.mark.slow
def test_checkpoints_change_nothing():
    """Folds that are saved end as ones that are not."""
    found, told, folds = trained(EveryEpoch())
    whole, *expected, _ = undisturbed()
    assert_equal(found, whole)
    assert [told, folds] == expected


@pytest.mark.slow
def test_a_restored_fold_may_be_refused():
    """Where the pruner has not been asked after a fold, it is asked when the trial goes on."""
    _, told, _, saved = undisturbed()
    found, told_again, _ = trained(EveryEpoch(saved[5]), on_fold=lambda fold, mean: fold < 2)
    assert (found.end_reason, told_again) == (EndReason.PRUNED, [])
    assert found.best_value == np.mean([max(m["val_accuracy"] for _, m in told[k : k + 2]) for k in (0, 2)])


def test_a_fold_of_another_model_begins_again(caplog):
    """Its epochs are told once more under their own numbers; the results of the folds before stay."""
    _, told, _, saved = undisturbed()
    found, told_again, _ = trained(EveryEpoch(saved[5]), replace(RECIPE, backbone=CNN(filters=8, blocks=1)))
    assert found.end_reason == EndReason.FINISHED
    assert [number for number, _ in told_again] == [5, 6]
    assert "restarting training" in caplog.text
    assert found.history[:4] == tuple(metrics for _, metrics in told[:4])
    assert [metrics["fold"] for metrics in found.history] == [1, 1, 2, 2, 3, 3]


@pytest.mark.slow
def test_a_diverged_fold_is_not_saved():
    """The checkpoint before it is the last."""
    checkpoints = EveryEpoch()
    found, _, _ = trained(checkpoints, replace(RECIPE, learning_rate=1e30, optimizer=SGD()))
    assert found.end_reason == EndReason.DIVERGED
    assert len(found.history) not in checkpoints.saved


def test_results_of_folds_are_json(tmp_path):
    """What is kept of a fold is told by its names, for whoever reads a checkpoint later."""
    _, _, _, saved = undisturbed()
    state = decode(saved[3], "").state
    assert json.loads(json.dumps(state)) == state
    assert set(state["results"][0]) == {
        "best_epoch",
        "best_value",
        "best_loss",
        "end_reason",
        "first_phase",
        "second_phase",
        "is_comparable",
        "notice",
        "reason",
        "untrained",
    }
    trial = StudyCheckpoints(tmp_path).for_trial(0)
    trial.save(decode(saved[3], ""))
    assert FoldCheckpoints(trial).resume().before == EPOCHS
