"""A training that was interrupted after any epoch ends as an undisturbed one, bit by bit."""

import hashlib
import itertools
import os
import signal
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import keras
import numpy as np
import pytest
from keras import layers

from spaces import (
    CNN,
    SGD,
    Adam,
    AdamW,
    Augment,
    Constant,
    Cosine,
    Custom,
    Digits,
    FineTune,
    KerasTunerModel,
    Pretrained,
    Space,
)
from studies.checkpoints import study_checkpoints
from studies.checkpoints.study_checkpoints import StudyCheckpoints
from studies.data.dataset import Dataset, Split
from studies.events import EpochEnded
from studies.export.retraining import SearchSummary, retrain_and_export
from studies.features.heads import build_head
from studies.models.build import build_model
from studies.outcome import Best, Progress
from studies.stop_request import StopReason, StopRequest
from studies.training import result
from studies.training.callbacks import checkpoint
from studies.training.model_cache import CompiledModelCache
from tests.support.fakes import Recorder, run_context
from tests.support.fitting import fit

SIDE = 8
AUGMENTED = Space(
    data=Digits(),
    backbone=CNN(filters=4, blocks=1, batch_norm=True),
    augment=Augment(flip="horizontal", translation=0.1, rotation=0.1, brightness=0.1),
    dropout=0.3,
    learning_rate=0.01,
    optimizer=AdamW(weight_decay=0.01),
    schedule=Cosine(warmup=0.2),
    batch_size=16,
    epochs=4,
)
FINE_TUNED = replace(
    AUGMENTED,
    backbone=Pretrained("MobileNet", weights=None, alpha=0.25, dense_units=4),
    optimizer=Adam(),
    epochs=2,
    fine_tune=FineTune(layers=4, epochs=3, learning_rate=0.5),
)
HEAD = replace(FINE_TUNED, fine_tune=None, augment=None, epochs=3)


def noise(images, seed, shape=(SIDE, SIDE, 3)):
    """Random images of two classes, of which one is a little brighter."""
    rng = np.random.default_rng(seed)
    labels = np.arange(images, dtype=np.int64) % 2
    pixels = rng.integers(0, 200, (images, *shape)) + 40 * labels.reshape(-1, *[1] * len(shape))
    return Split(pixels.astype(np.uint8), labels)


def features(images, seed, *shape):
    split = noise(images, seed, shape)
    return Split((split.images / 255).astype(np.float32), split.labels)


def small_network(record, input_shape):
    """In place of a network of `keras.applications`."""
    images = keras.Input(input_shape)
    hidden = images
    for number in (1, 2):
        hidden = layers.Conv2D(4, 3, name=f"convolution{number}")(hidden)
        hidden = layers.BatchNormalization(name=f"norm{number}")(hidden)
        hidden = layers.Activation("relu", name=f"relu{number}")(hidden)
    return keras.Model(images, hidden, name="network")


def own_network(recipe, input_shape, outputs):
    """A network whose weights are in bfloat16, with noise in it."""
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Rescaling(1 / 255),
            layers.GaussianNoise(0.2),
            layers.Flatten(),
            layers.Dense(4, dtype="bfloat16"),
            layers.Dense(outputs, dtype="float32"),
        ]
    )


class Case(NamedTuple):
    """What is trained, and after how many epochs it is over."""

    recipe: Space
    epochs: int
    train: Split = noise(40, 0)
    validation: Split | None = noise(16, 1)
    build: object = build_model


STILL = {"learning_rate": 1e-12, "patience": 2, "augment": None, "schedule": Constant()}
CASES = {
    "augmented": Case(AUGMENTED, 4),
    "float16": Case(replace(AUGMENTED, precision="mixed_float16", optimizer=SGD(momentum=0.9), epochs=3), 3),
    "own network": Case(replace(AUGMENTED, backbone=None, model=Custom(own_network), epochs=2), 2),
    "another metric": Case(replace(AUGMENTED, metric="val_auc", balance="sampling", epochs=3), 3),
    "blind": Case(replace(AUGMENTED, epochs=2), 2, validation=None),
    "fine-tuned": Case(FINE_TUNED, 5),
    "blindly fine-tuned": Case(replace(FINE_TUNED, fine_tune=FineTune(layers=4, epochs=1)), 3, validation=None),
    "out of patience": Case(replace(AUGMENTED, **STILL, epochs=9), 3),
    "out of patience twice": Case(replace(FINE_TUNED, **STILL, epochs=9, fine_tune=FineTune(epochs=9)), 5),
    "head on features": Case(HEAD, 3, features(40, 0, 6), features(16, 1, 6), build_head),
    "head on views": Case(HEAD, 3, features(40, 0, 3, 6), features(16, 1, 1, 6), build_head),
}
SOME = {*((name, case.epochs // 2) for name, case in CASES.items()), ("fine-tuned", 4)}
INTERRUPTED = [
    pytest.param(name, epoch, marks=pytest.mark.slow if (name, epoch) in SOME else pytest.mark.exhaustive)
    for name, case in CASES.items()
    for epoch in range(1, case.epochs + 1)
]


class EveryEpoch:
    """Keeps a checkpoint of each epoch, and goes on from that of one of them.

    Args:
        folder: Where they are.
        epoch: Which one to go on from; None begins.
    """

    is_quick = True

    def __init__(self, folder, epoch=None):
        self.folder, self.epoch = folder, epoch
        self.is_due = epoch is None

    def save(self, snapshot, *, copying_seconds):
        StudyCheckpoints(self.folder / str(snapshot.epoch)).for_trial(0).save(snapshot)

    def load(self):
        return self.epoch and StudyCheckpoints(self.folder / str(self.epoch)).for_trial(0).load()


@pytest.fixture
def always_due(monkeypatch):
    """A checkpoint is taken of every epoch, however long it takes."""
    monkeypatch.setattr(study_checkpoints, "MIN_INTERVAL_FACTOR", 0)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Every pretrained network is small."""
    monkeypatch.setattr("studies.models.pretrained.make_network", small_network)


@pytest.fixture(scope="module")
def folder():
    """Where the checkpoints of undisturbed trainings are."""
    with TemporaryDirectory() as folder:
        undisturbed.cache_clear()
        yield Path(folder)


def trained(case, checkpoints=None, **more):
    return fit(case.recipe, case.train, case.validation, build=case.build, checkpoints=checkpoints, **more)


@cache
def undisturbed(name, folder):
    """A training, with a checkpoint of each of its epochs."""
    return trained(CASES[name], EveryEpoch(folder / name))


def assert_equal(one, two):
    """Trainings are the same in all that they came to."""
    for name in ("history", "best_epoch", "end_reason", "first_phase", "second_phase"):
        assert getattr(one, name) == getattr(two, name)
    np.testing.assert_equal((one.best_value, one.best_loss), (two.best_value, two.best_loss))
    for here, there in zip(one.model.get_weights(), two.model.get_weights(), strict=True):
        assert here.tobytes() == there.tobytes()


@pytest.mark.parametrize(("name", "epoch"), INTERRUPTED)
def test_a_continued_training_ends_as_an_undisturbed_one(name, epoch, folder):
    """Weights, history, best epoch and phases are the same, and no epoch is trained or told twice."""
    whole, restored, told = undisturbed(name, folder), [], []
    assert len(whole.history) == CASES[name].epochs
    continued = trained(
        CASES[name],
        EveryEpoch(folder / name, epoch),
        on_restored=lambda history: restored.append(history),
        on_epoch=lambda number, metrics: told.append((number, metrics)) or True,
    )
    assert_equal(continued, whole)
    assert restored == [whole.history[:epoch]]
    assert told == list(enumerate(whole.history, start=1))[epoch:]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["augmented", "fine-tuned"])
def test_checkpoints_change_nothing(name, folder):
    """A training that is saved ends as one that is not."""
    assert_equal(trained(CASES[name]), undisturbed(name, folder))


@pytest.mark.slow
def test_patience_is_not_begun_anew(folder):
    """Epochs without progress before an interruption count after it."""
    assert undisturbed("out of patience", folder).end_reason == result.EndReason.EARLY_STOPPED
    assert undisturbed("out of patience twice", folder).end_reason == result.EndReason.EARLY_STOPPED


@pytest.mark.slow
def test_warm_models_are_continued_too(folder):
    """Also in a kept model of another trial a training ends as one that was left alone in a model of its own."""
    warm = CompiledModelCache()
    trained(Case(replace(AUGMENTED, dropout=0.1, learning_rate=0.1, epochs=1), 1), model_cache=warm)
    continued = trained(CASES["augmented"], EveryEpoch(folder / "augmented", 2), model_cache=warm)
    assert warm.reused == 1
    assert_equal(continued, undisturbed("augmented", folder))


@pytest.mark.slow
def test_a_checkpoint_of_a_warm_model_is_used_by_any(folder, tmp_path):
    """A worker that keeps models and one that keeps none go on from each other's checkpoints."""
    warm = CompiledModelCache()
    trained(Case(replace(AUGMENTED, dropout=0.1, epochs=1), 1), model_cache=warm)
    trained(CASES["augmented"], EveryEpoch(tmp_path), model_cache=warm)
    assert warm.reused == 1
    assert_equal(trained(CASES["augmented"], EveryEpoch(tmp_path, 2)), undisturbed("augmented", folder))


class Killed(Exception):
    """In place of a process that is killed."""


@pytest.mark.slow
def test_an_epoch_is_saved_after_it_was_told(tmp_path, always_due):
    """The database is never behind a checkpoint: whoever dies while storing an epoch trains that one again."""

    def dies(epoch, metrics):
        if epoch == 3:
            raise Killed

    checkpoints = StudyCheckpoints(tmp_path)
    with pytest.raises(Killed):
        trained(CASES["augmented"], checkpoints.for_trial(0), on_epoch=lambda *told: dies(*told) or True)
    assert checkpoints.for_trial(0).load().epoch == 2


@pytest.mark.slow
def test_a_refused_epoch_is_not_saved(tmp_path, always_due):
    """A pruned trial needs no checkpoint."""
    checkpoints = StudyCheckpoints(tmp_path)
    trained(CASES["augmented"], checkpoints.for_trial(0), on_epoch=lambda epoch, metrics: epoch < 2)
    assert checkpoints.for_trial(0).load().epoch == 1


def test_a_diverged_epoch_is_not_saved(tmp_path, always_due):
    """Weights that are not finite are of no use."""
    case = Case(replace(AUGMENTED, learning_rate=1e30, optimizer=SGD(), batch_size=40), 4)
    assert trained(case, StudyCheckpoints(tmp_path).for_trial(0)).end_reason == result.EndReason.DIVERGED
    found = StudyCheckpoints(tmp_path).for_trial(0).load()
    assert found is None or np.isfinite(found.arrays["model/0"]).all()


@pytest.mark.slow
@pytest.mark.parametrize(("between", "seconds", "saved"), [(0, 0.01, 3), (1e9, 0.01, 1), (0, 9.0, 1)])
def test_a_request_to_end_saves_the_last_epoch(tmp_path, monkeypatch, between, seconds, saved):
    """It is saved though it was not due, unless copying each epoch costs too much, or writing takes too long."""
    monkeypatch.setattr(checkpoint, "MIN_COPY_INTERVAL_FACTOR", between)
    ticks, whole = itertools.count(0.0, seconds), []
    stopped = trained(
        CASES["fine-tuned"],
        StudyCheckpoints(tmp_path, clock=lambda: next(ticks)).for_trial(0),
        on_epoch=lambda epoch, metrics: whole.append(epoch) or True,
        stop=lambda: len(whole) == 3,
    )
    assert (stopped.end_reason, len(stopped.history)) == (result.EndReason.STOPPED, 3)
    assert StudyCheckpoints(tmp_path).for_trial(0).load().epoch == saved


@pytest.mark.slow
def test_a_request_at_the_beginning_of_the_second_phase_loses_nothing(tmp_path, monkeypatch, folder):
    """The last epoch of the first phase is saved then, and the second phase begins once more."""
    monkeypatch.setattr(checkpoint, "MIN_COPY_INTERVAL_FACTOR", 0)
    ticks, whole = itertools.count(0.0, 0.01), []
    trained(
        CASES["fine-tuned"],
        StudyCheckpoints(tmp_path, clock=lambda: next(ticks)).for_trial(0),
        on_epoch=lambda epoch, metrics: whole.append(epoch) or True,
        stop=lambda: len(whole) == 2,
    )
    assert StudyCheckpoints(tmp_path).for_trial(0).load().epoch == 2
    assert_equal(
        trained(CASES["fine-tuned"], StudyCheckpoints(tmp_path).for_trial(0)), undisturbed("fine-tuned", folder)
    )


def test_a_checkpoint_of_another_model_is_not_used(tmp_path, caplog):
    """A model that was built otherwise begins again, with a warning."""
    checkpoints = StudyCheckpoints(tmp_path)
    trained(CASES["augmented"], checkpoints.for_trial(0))
    told = []
    other = Case(replace(AUGMENTED, backbone=CNN(filters=8, blocks=1)), 4)
    trained(other, checkpoints.for_trial(0), on_epoch=lambda epoch, metrics: told.append(epoch) or True)
    assert told == [1, 2, 3, 4]
    assert "restarting training" in caplog.text


@pytest.mark.slow
def test_frozen_and_best_weights_are_kept_once(folder):
    """After a best epoch its weights are the last ones; later, only those that have changed are kept beside."""
    whole = undisturbed("fine-tuned", folder)
    arrays = {
        epoch: StudyCheckpoints(folder / "fine-tuned" / str(epoch)).for_trial(0).load().arrays for epoch in range(1, 6)
    }
    best = {epoch: sum(name.startswith("best/") for name in held) for epoch, held in arrays.items()}
    weights = len(whole.model.weights)
    assert whole.best_epoch == 2
    assert [best[epoch] for epoch in (1, 2)] == [0, 0]
    assert all(0 < best[epoch] < weights for epoch in (3, 4, 5))


def test_hypermodels_begin_again(tmp_path):
    """What a hypermodel's own `fit` does cannot be continued."""

    def hypermodel(hp):
        network = keras.Sequential([keras.Input((SIDE, SIDE, 3)), layers.Flatten(), layers.Dense(2)])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        network.compile(loss=loss, metrics=["accuracy"])
        return network

    recipe = Space(data=Digits(), model=KerasTunerModel(hypermodel), batch_size=16, epochs=2)
    checkpoints = StudyCheckpoints(tmp_path)
    trained(Case(recipe, 2), checkpoints.for_trial(0))
    assert checkpoints.for_trial(0).load() is None


class StopAtSecondEpoch(Recorder):
    """Asks for an end at the second epoch that it sees."""

    def on_epoch_ended(self, event):
        super().on_epoch_ended(event)
        if len(self.of(EpochEnded)) == 2:
            self.stop.request(StopReason.SIGINT)


@pytest.mark.slow
def test_a_retraining_goes_on_and_leaves_nothing(tmp_path, always_due):
    """Stopped in its last epoch, the next one trains that epoch only; after the export no checkpoint is left."""
    recipe, best = replace(AUGMENTED, epochs=3), Best(5, 1.0, 3, {})
    dataset = Dataset(noise(40, 0), noise(16, 1), noise(8, 2), ("dark", "bright"))
    found = SearchSummary("tiny", "val_accuracy", "maximize", Progress(6, 6, best=best), recipe, 1, 1.0)
    recorder = StopAtSecondEpoch()

    def retrain(stop):
        recorder.stop = stop
        checkpoints = StudyCheckpoints(tmp_path / "checkpoints")
        context = run_context(recorder, stop, folder=tmp_path, checkpoints=checkpoints)
        return retrain_and_export(found, dataset, context, best_folder=tmp_path / "best")

    assert retrain(StopRequest()) is None
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2
    recorder.events.clear()
    assert retrain(StopRequest())["test"]["images"] == 8
    assert [event.epoch for event in recorder.of(EpochEnded)] == [3]
    assert list((tmp_path / "checkpoints").iterdir()) == []


def digest(training):
    """Weights and history, in one line."""
    weights = b"".join(weight.tobytes() for weight in training.model.get_weights())
    return f"{hashlib.sha256(weights).hexdigest()} {training.history}"


PROCESS = """
import os, signal, sys
from pathlib import Path
from tests.studies.training import test_resume_training as cases
from studies.checkpoints.study_checkpoints import StudyCheckpoints

def on_epoch(epoch, metrics):
    if epoch == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return True

found = cases.trained(cases.CASES["augmented"], StudyCheckpoints(Path(sys.argv[1])).for_trial(0), on_epoch=on_epoch)
print(cases.digest(found))
"""


@pytest.mark.slow
def test_a_killed_process_is_continued_by_another(tmp_path, folder):
    """kill -9 in a training, then another process: the same weights and history as in one that was left alone."""

    def process(killed_at):
        return subprocess.run(
            [sys.executable, "-c", PROCESS, str(tmp_path), str(killed_at)],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
            capture_output=True,
            text=True,
            check=False,
        )

    assert process(3).returncode == -signal.SIGKILL
    assert StudyCheckpoints(tmp_path).for_trial(0).load().epoch in (1, 2)
    continued = process(0)
    assert continued.returncode == 0
    assert continued.stdout.strip() == digest(undisturbed("augmented", folder))
