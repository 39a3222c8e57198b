"""A training that is resumed after any epoch ends as an uninterrupted one, bit by bit."""

from dataclasses import replace

import pytest

from spaces import CNN, Digits, KerasTunerModel, Space
from studies.checkpoints import study_checkpoints
from studies.checkpoints.study_checkpoints import StudyCheckpoints
from studies.data.dataset import Dataset
from studies.events import EpochEnded
from studies.export.retraining import SearchSummary, retrain_and_export
from studies.outcome import Best, Progress
from studies.stop_request import StopReason, StopRequest
from studies.training.model_cache import CompiledModelCache
from tests.studies.keras_tuner.hypermodels import Dense
from tests.support.fakes import Recorder, run_context
from tests.support.fitting import noisy_images
from tests.support.resumable import AUGMENTED, CASES, Case, EveryEpoch, assert_equal, train_case, uninterrupted

SLOW = {*((name, case.epochs // 2) for name, case in CASES.items()), ("fine-tuned", 4)}
INTERRUPTED = [
    pytest.param(name, epoch, marks=pytest.mark.slow if (name, epoch) in SLOW else pytest.mark.exhaustive)
    for name, case in CASES.items()
    for epoch in range(1, case.epochs + 1)
]


@pytest.mark.parametrize(("name", "epoch"), INTERRUPTED)
def test_resumed_training_equals_uninterrupted(name, epoch):
    """Weights, history, best epoch and phases are the same, and no epoch is trained or recorded twice."""
    (whole, saved), restored, recorded = uninterrupted(name), [], []
    assert (len(whole.history), whole.end_reason) == (CASES[name].epochs, CASES[name].end_reason)
    resumed = train_case(
        CASES[name],
        EveryEpoch(saved[epoch]),
        on_restored=restored.append,
        on_epoch=lambda number, metrics: recorded.append((number, metrics)) or True,
    )
    assert_equal(resumed, whole)
    assert restored == [whole.history[:epoch]]
    assert recorded == list(enumerate(whole.history, start=1))[epoch:]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["augmented", "fine-tuned"])
def test_saving_does_not_change_training(name):
    """A training that is saved ends as one that is not."""
    assert_equal(train_case(CASES[name]), uninterrupted(name)[0])


@pytest.mark.slow
def test_workers_with_and_without_cached_models_share_checkpoints():
    """A checkpoint of a cached model is resumed in a new one, and the reverse, without a difference."""
    cache, saved_by_cached = CompiledModelCache(), EveryEpoch()
    whole, saved = uninterrupted("augmented")
    train_case(Case(replace(AUGMENTED, dropout=0.1, learning_rate=0.1, epochs=1), 1), model_cache=cache)
    train_case(CASES["augmented"], saved_by_cached, model_cache=cache)
    assert_equal(train_case(CASES["augmented"], EveryEpoch(saved_by_cached.saved[2])), whole)
    assert_equal(train_case(CASES["augmented"], EveryEpoch(saved[2]), model_cache=cache), whole)
    assert cache.reused == 2


def test_checkpoint_of_another_model_is_not_used(tmp_path, caplog):
    """A model of another shape is trained from its first epoch, with a warning."""
    checkpoints, epochs = StudyCheckpoints(tmp_path), []
    train_case(CASES["augmented"], checkpoints.for_trial(0))
    other = Case(replace(AUGMENTED, backbone=CNN(filters=8, blocks=1)), 4)
    train_case(other, checkpoints.for_trial(0), on_epoch=lambda epoch, metrics: epochs.append(epoch) or True)
    assert epochs == [1, 2, 3, 4]
    assert "restarting training" in caplog.text


def test_hypermodel_has_no_checkpoint(tmp_path):
    """The state of a hypermodel's own `fit` is unknown, so its training cannot be resumed."""
    checkpoints = StudyCheckpoints(tmp_path).for_trial(0)
    recipe = Space(data=Digits(), model=KerasTunerModel(Dense(outputs=2)), batch_size=16, epochs=2)
    train_case(Case(recipe, 2, *(noisy_images(count, 0, shape=(8, 8, 1)) for count in (40, 16))), checkpoints)
    assert checkpoints.load() is None


class StopAtSecondEpoch(Recorder):
    """Requests a stop at the second epoch that it sees."""

    def on_epoch_ended(self, event):
        super().on_epoch_ended(event)
        if len(self.of(EpochEnded)) == 2:
            self.stop.request(StopReason.SIGINT)


@pytest.mark.slow
def test_retraining_resumes_and_deletes_its_checkpoints(tmp_path, monkeypatch):
    """A retraining stopped before its last epoch trains that epoch only; the export leaves no checkpoint."""
    monkeypatch.setattr(study_checkpoints, "MIN_INTERVAL_FACTOR", 0)
    recipe, best = replace(AUGMENTED, epochs=3), Best(5, 1.0, 3, {})
    dataset = Dataset(noisy_images(40, 0), noisy_images(16, 1), noisy_images(8, 2), ("dark", "bright"))
    summary = SearchSummary("tiny", "val_accuracy", "maximize", Progress(6, 6, best=best), recipe, 1, 1.0)
    recorder = StopAtSecondEpoch()

    def retrain():
        recorder.stop = StopRequest()
        checkpoints = StudyCheckpoints(tmp_path / "checkpoints")
        context = run_context(recorder, recorder.stop, folder=tmp_path, checkpoints=checkpoints)
        return retrain_and_export(summary, dataset, context, best_folder=tmp_path / "best")

    assert retrain() is None
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2
    recorder.events.clear()
    assert retrain()["test"]["images"] == 8
    assert [event.epoch for event in recorder.of(EpochEnded)] == [3]
    assert list((tmp_path / "checkpoints").iterdir()) == []
