"""The second phase: what it trains, how its epochs count, and how it is repeated in the retraining."""

from dataclasses import replace

import keras
import pytest

from spaces import CNN, Choice, Constant, Cosine, FineTune, Int, Pretrained
from spaces.errors import ModelError, SpaceError
from spaces.loading import LoadedSpace
from spaces.space import baseline, resolve
from studies import Study
from studies.events import EpochEnded, RetrainingStarted, TrialStarted
from studies.models.build import build_model
from studies.models.pretrained import fine_tune
from studies.run import run
from studies.status.trial_table import summarize_trials
from studies.stop_request import StopRequest
from studies.training.epochs import max_epochs, total_epochs
from studies.training.result import EndReason
from studies.trials.space_checks import check_fine_tuning
from tests.support.fakes import Recorder
from tests.support.fitting import SMALL, assert_same_weights, fit, noisy_images

SIDE = 8
RECIPE = replace(
    SMALL,
    backbone=Pretrained("MobileNet", weights=None, alpha=0.25),
    dropout=0.0,
    batch_size=16,
    schedule=Cosine(warmup=0.1),
    epochs=2,
    fine_tune=FineTune(layers=4, epochs=3, learning_rate=0.05),
)


TRAIN, VALIDATION = noisy_images(32, 0), noisy_images(16, 1)


def trained(recipe=RECIPE, validation=VALIDATION, **more):
    return fit(recipe, TRAIN, validation, **more)


class Scripted(keras.callbacks.Callback):
    """Replaces the validation metric by scripted values, and records rate and trainable layers of each epoch."""

    def __init__(self, values):
        super().__init__()
        self.values, self.seen = values, []

    def on_epoch_end(self, epoch, logs=None):
        logs["val_accuracy"] = self.values[epoch]
        changing = tuple(layer.name for layer in self.model.get_layer("network").layers if layer.trainable_weights)
        self.seen.append((float(self.model.optimizer.learning_rate.numpy()), changing))


@pytest.fixture
def script(monkeypatch):
    """Scripts the score of each epoch."""

    def use(*values):
        scripted = Scripted(values)
        original = keras.Model.fit

        def fit(model, *args, callbacks, **named):
            return original(model, *args, callbacks=[scripted, *callbacks], **named)

        monkeypatch.setattr(keras.Model, "fit", fit)
        return scripted

    return use


@pytest.mark.slow
def test_second_phase_continues_epoch_numbers(script):
    """The second phase trains the last layers at a constant fraction of the learning rate."""
    scripted, recorded = script(0.1, 0.2, 0.3, 0.4, 0.5), []
    found = trained(on_epoch=lambda epoch, metrics: recorded.append(epoch) or True)
    assert recorded == [1, 2, 3, 4, 5]
    assert len(found.history) == total_epochs(RECIPE) == 5
    assert [changing for _, changing in scripted.seen] == [()] * 2 + [("convolution2",)] * 3
    assert [rate for rate, _ in scripted.seen[2:]] == pytest.approx([0.0005] * 3)
    assert (found.best_epoch, found.first_phase, found.second_phase) == (5, 2, 3)


SLOW = pytest.mark.slow
PATIENT = {"epochs": 9, "patience": 2, "fine_tune": FineTune(layers=4, epochs=9)}


@pytest.mark.parametrize(
    ("changes", "scores", "phases", "end_reason"),
    [
        pytest.param(PATIENT, (0.1, 0.9, 0.2, 0.3, 0.5, 0.6), (2, 2, 0), EndReason.EARLY_STOPPED, id="patience"),
        pytest.param({"epochs": 3}, (0.1, 0.9, 0.2, 0.95, 0.3, 0.1), (4, 2, 1), EndReason.FINISHED, marks=SLOW),
    ],
)
def test_phases_end_at_their_best_epochs(script, changes, scores, phases, end_reason):
    """The second phase starts from the best epoch of the first, with patience of its own; later epochs do not count."""
    script(*scores)
    found = trained(replace(RECIPE, **changes))
    assert (found.best_epoch, found.first_phase, found.second_phase) == phases
    assert (found.end_reason, len(found.history)) == (end_reason, len(scores))


@pytest.mark.slow
def test_retraining_repeats_the_epochs_of_both_phases(script):
    """The same epochs of both phases, without validation, give the weights that the trial had."""
    script(0.1, 0.2, 0.3, 0.9, 0.4)
    found = trained()
    assert (found.best_epoch, found.first_phase, found.second_phase) == (4, 2, 2)
    again = trained(validation=None, epochs=found.first_phase, second_epochs=found.second_phase)
    assert len(again.history) == 4
    assert_same_weights(found.model, again.model)


@pytest.mark.slow
def test_only_the_last_phase_cools_down(script):
    """The learning rate falls to zero over the last epochs of the second phase."""
    scripted = script(0.1, 0.2, 0.3, 0.4, 0.5)
    trained(replace(RECIPE, schedule=Constant()), validation=None, cooldown=2 / 3)
    assert [rate for rate, _ in scripted.seen] == pytest.approx([0.01, 0.01, 0.0005, 0.00025, 0.0])


def test_retraining_without_second_epochs_has_one_phase():
    """A best epoch of the first phase needs no second one."""
    found = trained(validation=None, epochs=2, second_epochs=0)
    assert (len(found.history), found.first_phase, found.second_phase) == (2, 2, 0)


@pytest.mark.slow
def test_pruning_in_the_first_phase_skips_the_second():
    """The last epoch of the first phase may prune, since others follow; the last of all may not."""
    assert len(trained(on_epoch=lambda epoch, metrics: epoch < 2).history) == 2
    whole = trained(on_epoch=lambda epoch, metrics: epoch < 5)
    assert (whole.end_reason, len(whole.history)) == (EndReason.FINISHED, 5)


def test_only_pretrained_backbones_have_two_phases():
    """Where a backbone may be pretrained or not, other ones train the first phase alone."""
    space = replace(RECIPE, backbone=Choice(CNN(4, 1), RECIPE.backbone), epochs=Choice(2, 4))
    check_fine_tuning(space)
    recipes = (resolve(space, {**baseline(space), "backbone": name, "epochs": 4}) for name in ("cnn", "mobilenet"))
    assert [total_epochs(recipe) for recipe in recipes] == [4, 7]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"backbone": Choice(CNN(4, 1), RECIPE.backbone), "epochs": Choice(2, 4), "fine_tune": RECIPE.fine_tune}, 7),
        ({}, 11),
        ({"backbone": CNN(4, 1)}, 6),
        ({"fine_tune": None}, 6),
    ],
)
def test_max_epochs_counts_the_largest_values(changes, expected):
    """Parameters count with their largest value, also those of a second phase that a trial may lack."""
    space = replace(RECIPE, epochs=Int(2, 6), fine_tune=Choice(None, FineTune(epochs=Int(1, 5))))
    assert max_epochs(replace(space, **changes)) == expected


def test_fine_tuning_requires_a_pretrained_backbone():
    """Without one, the space is refused before the first trial, and the model too."""
    space = replace(RECIPE, backbone=CNN(4, 1))
    with pytest.raises(SpaceError, match=r"only a Pretrained\(...\) backbone can be fine-tuned"):
        check_fine_tuning(space)
    with pytest.raises(ModelError, match="remove fine_tune"):
        fine_tune(build_model(space, (8, 8, 1), 2), 3)


def test_second_phase_freezes_no_layer():
    """What the first phase trained stays trainable."""
    record = replace(RECIPE.backbone, trainable_layers=4)
    model = build_model(replace(RECIPE, backbone=record), (SIDE, SIDE, 3), 2)
    before = len(model.trainable_weights)
    fine_tune(model, 1)
    assert len(model.trainable_weights) == before
    fine_tune(model, 6)
    assert len(model.trainable_weights) > before


@pytest.mark.slow
def test_search_counts_both_phases(tmp_path):
    """Listener and export count the epochs of both phases, and the retraining repeats them."""
    space = replace(RECIPE, batch_size=256, patience=None)
    recorder, study = Recorder(), Study(trials=1, pruner="none")
    declared = LoadedSpace(name="tuned", space=space, study=None, folder=tmp_path)
    finished = run(declared, study, output=tmp_path, export=True, listener=recorder, stop=StopRequest())
    assert [event.epochs for event in recorder.of(TrialStarted)] == [5]
    epochs = recorder.of(EpochEnded)
    assert [(event.epoch, event.epochs) for event in epochs[:5]] == [(number, 5) for number in range(1, 6)]
    best = finished.progress.best
    assert recorder.of(RetrainingStarted)[0].epochs == sum(best.epochs) == len(epochs) - 5
    assert finished.metrics["best"]["second_phase"] == best.epochs[1]
    assert summarize_trials("tuned", tmp_path)[0].epochs == 5
