"""The second phase: what it trains, how its epochs count, and how it is repeated in the retraining."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers

from spaces import CNN, Choice, Constant, Cosine, Digits, FineTune, Int, Pretrained, Space
from spaces.errors import ModelError, SpaceError
from spaces.loading import LoadedSpace
from spaces.space import baseline, resolve
from studies import Study
from studies.data.dataset import Split
from studies.events import EpochEnded, RetrainingStarted, TrialStarted
from studies.models.build import build_model
from studies.models.pretrained import fine_tune
from studies.run import run
from studies.status.trial_table import summarize_trials
from studies.stop_request import StopRequest
from studies.training import result
from studies.training.epochs import max_epochs, total_epochs
from studies.trials.space_checks import check_fine_tuning
from tests.support.fakes import Recorder
from tests.support.fitting import fit

SIDE = 8
RECIPE = Space(
    data=Digits(),
    backbone=Pretrained("MobileNet", weights=None, alpha=0.25),
    augment=None,
    dropout=0.0,
    learning_rate=0.01,
    batch_size=16,
    schedule=Cosine(warmup=0.1),
    epochs=2,
    fine_tune=FineTune(layers=4, epochs=3, learning_rate=0.05),
)


def noisy(images, seed):
    """Images of two classes that differ in brightness a little."""
    rng = np.random.default_rng(seed)
    labels = np.arange(images, dtype=np.int64) % 2
    pixels = rng.integers(0, 200, (images, SIDE, SIDE, 3)) + 40 * labels[:, None, None, None]
    return Split(pixels.astype(np.uint8), labels)


TRAIN, VALIDATION = noisy(32, 0), noisy(16, 1)


def small_network(record, input_shape):
    """In place of a network of `keras.applications`: two convolutions with their normalisation."""
    images = keras.Input(input_shape)
    hidden = images
    for number in (1, 2):
        hidden = layers.Conv2D(4, 3, name=f"convolution{number}")(hidden)
        hidden = layers.BatchNormalization(name=f"norm{number}")(hidden)
        hidden = layers.Activation("relu", name=f"relu{number}")(hidden)
    return keras.Model(images, hidden, name="network")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Every network is small."""
    monkeypatch.setattr("studies.models.pretrained.make_network", small_network)


def trained(recipe=RECIPE, validation=VALIDATION, **more):
    return fit(recipe, TRAIN, validation, **more)


class Scripted(keras.callbacks.Callback):
    """Puts a validation metric of our own in place of the measured one, and looks at the model in each epoch."""

    def __init__(self, values):
        super().__init__()
        self.values, self.seen = values, []

    def on_epoch_end(self, epoch, logs=None):
        logs["val_accuracy"] = self.values[epoch]
        changing = tuple(layer.name for layer in self.model.get_layer("network").layers if layer.trainable_weights)
        self.seen.append((float(self.model.optimizer.learning_rate.numpy()), changing))


@pytest.fixture
def script(monkeypatch):
    """Decides what each epoch scores."""

    def use(*values):
        scripted = Scripted(values)
        original = keras.Model.fit

        def fit(model, *args, callbacks, **named):
            return original(model, *args, callbacks=[scripted, *callbacks], **named)

        monkeypatch.setattr(keras.Model, "fit", fit)
        return scripted

    return use


@pytest.mark.slow
def test_epochs_go_on_counting(script):
    """The second phase trains the last layers at a constant share of the learning rate, after the first one."""
    scripted, told = script(0.1, 0.2, 0.3, 0.4, 0.5), []
    found = trained(on_epoch=lambda epoch, metrics: told.append(epoch) or True)
    assert told == [1, 2, 3, 4, 5]
    assert len(found.history) == total_epochs(RECIPE) == 5
    assert [changing for _, changing in scripted.seen] == [()] * 2 + [("convolution2",)] * 3
    assert [rate for rate, _ in scripted.seen[2:]] == pytest.approx([0.0005] * 3)
    assert (found.best_epoch, found.first_phase, found.second_phase) == (5, 2, 3)


@pytest.mark.slow
def test_batch_normalisation_keeps_its_statistics():
    """The second phase changes layers of the network, but no statistic of a normalisation."""
    recipe = replace(RECIPE, fine_tune=FineTune(layers=1000, epochs=1, learning_rate=1.0), patience=None)
    keras.utils.set_random_seed(1)
    before = build_model(recipe, (SIDE, SIDE, 3), 2)
    after = trained(recipe, validation=None).model
    pairs = list(zip(before.weights, after.weights, strict=True))
    changed = {one.path for one, two in pairs if not np.array_equal(one.numpy(), two.numpy())}
    assert not [path for path in changed if "norm" in path]
    assert {"convolution1/kernel", "convolution2/kernel"} <= changed


def test_the_second_phase_begins_with_the_best_weights(script):
    """A first phase out of patience goes back to its best epoch, and the second one has patience of its own."""
    script(0.1, 0.9, 0.2, 0.3, 0.5, 0.6, 0.7)
    recipe = replace(RECIPE, epochs=9, patience=2, fine_tune=FineTune(layers=4, epochs=9))
    found = trained(recipe)
    assert found.end_reason == result.EndReason.EARLY_STOPPED
    # Four epochs, of which the second is best, then two that are no better.
    assert len(found.history) == 6
    assert (found.best_epoch, found.first_phase, found.second_phase) == (2, 2, 0)


@pytest.mark.slow
def test_a_retraining_repeats_what_led_to_the_weights(script):
    """The same epochs of both phases, without validation, give the weights that the trial had."""
    script(0.1, 0.2, 0.3, 0.9, 0.4)
    found = trained()
    assert (found.best_epoch, found.first_phase, found.second_phase) == (4, 2, 2)
    again = trained(validation=None, epochs=found.first_phase, second_epochs=found.second_phase)
    assert len(again.history) == 4
    for one, two in zip(found.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.slow
def test_the_last_phase_cools_down(script):
    """The learning rate falls in the last phase of the retraining, and only there."""
    scripted = script(0.1, 0.2, 0.3, 0.4, 0.5)
    trained(replace(RECIPE, schedule=Constant()), validation=None, cooldown=2 / 3)
    assert [rate for rate, _ in scripted.seen] == pytest.approx([0.01, 0.01, 0.0005, 0.00025, 0.0])


@pytest.mark.slow
def test_epochs_that_came_to_nothing_are_not_retrained(script):
    """A first phase counts up to its best epoch, from which the second one began."""
    script(0.1, 0.9, 0.2, 0.95, 0.3, 0.1)
    found = trained(replace(RECIPE, epochs=3))
    assert (found.best_epoch, found.first_phase, found.second_phase) == (4, 2, 1)


def test_a_best_epoch_of_the_first_phase_is_retrained_alone():
    """Without epochs of the second phase there is none."""
    found = trained(validation=None, epochs=2, second_epochs=0)
    assert (len(found.history), found.first_phase, found.second_phase) == (2, 2, 0)


@pytest.mark.slow
def test_a_pruned_first_phase_has_no_second():
    """Also at its last epoch a first phase may be ended, since epochs would follow; the very last one may not."""
    assert len(trained(on_epoch=lambda epoch, metrics: epoch < 2).history) == 2
    whole = trained(on_epoch=lambda epoch, metrics: epoch < 5)
    assert (whole.end_reason, len(whole.history)) == (result.EndReason.FINISHED, 5)


def test_other_backbones_have_one_phase():
    """Where a backbone may be pretrained or not, only pretrained ones have a second phase."""
    space = replace(RECIPE, backbone=Choice(CNN(4, 1), RECIPE.backbone), epochs=Choice(2, 4))
    check_fine_tuning(space)
    cnn, pretrained = (
        resolve(space, {**baseline(space), "backbone": option, "epochs": 4}) for option in ("cnn", "mobilenet")
    )
    assert (total_epochs(cnn), total_epochs(pretrained)) == (4, 7)
    assert max_epochs(space) == 7


def test_the_most_epochs_of_a_space():
    """Parameters count with their largest value, also those of a second phase that a trial may lack."""
    space = replace(RECIPE, epochs=Int(2, 6), fine_tune=Choice(None, FineTune(epochs=Int(1, 5))))
    assert max_epochs(space) == 11
    assert max_epochs(replace(space, backbone=CNN(4, 1))) == 6
    assert max_epochs(replace(space, fine_tune=None)) == 6


def test_nothing_to_fine_tune():
    """A second phase without any pretrained backbone is told before the first trial, and never trained."""
    space = replace(RECIPE, backbone=CNN(4, 1))
    with pytest.raises(SpaceError, match=r"only a Pretrained\(...\) backbone can be fine-tuned"):
        check_fine_tuning(space)
    with pytest.raises(ModelError, match="remove fine_tune"):
        fine_tune(build_model(space, (8, 8, 1), 2), 3)


def test_layers_that_were_trained_stay_so():
    """A second phase never freezes what the first one trained."""
    record = replace(RECIPE.backbone, trainable_layers=4)
    model = build_model(replace(RECIPE, backbone=record), (SIDE, SIDE, 3), 2)
    before = len(model.trainable_weights)
    fine_tune(model, 1)
    assert len(model.trainable_weights) == before
    fine_tune(model, 6)
    assert len(model.trainable_weights) > before


@pytest.mark.slow
def test_a_search_counts_both_phases(tmp_path):
    """The listener, the pruner and the export hear of all epochs, and the retraining repeats those of both phases."""
    space = replace(RECIPE, batch_size=256, patience=None)
    recorder, study = Recorder(), Study(trials=1, pruner="none")
    declared = LoadedSpace(name="tuned", space=space, study=None, folder=tmp_path)
    result = run(declared, study, output=tmp_path, export=True, listener=recorder, stop=StopRequest())
    assert [event.epochs for event in recorder.of(TrialStarted)] == [5]
    epochs = recorder.of(EpochEnded)
    assert [(event.epoch, event.epochs) for event in epochs[:5]] == [(number, 5) for number in range(1, 6)]
    best = result.progress.best
    assert recorder.of(RetrainingStarted)[0].epochs == sum(best.epochs) == len(epochs) - 5
    assert result.metrics["best"]["second_phase"] == best.epochs[1]
    assert summarize_trials("tuned", tmp_path)[0].epochs == 5
