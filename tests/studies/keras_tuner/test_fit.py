"""A hypermodel's network, trained as KerasTuner would train it."""

import keras
import numpy as np
import pytest
from keras import layers

from spaces import Digits, KerasTunerModel, Space
from spaces.errors import ModelError
from studies.data.dataset import Split
from studies.training import result
from studies.training.scores import SCORES
from studies.trials.recipe_training import inference_model_of
from tests.studies.keras_tuner.hypermodels import SHAPE, Dense, OwnFit, OwnLoop, Silent, two_kinds
from tests.support.fitting import fit


def images_of(classes, count=384, seed=0):
    """Images in which a few bright pixels tell the class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    pixels = rng.integers(0, 60, (count, 64))
    for column in range(5):
        pixels[np.arange(count), labels * 6 + column] += 190
    return Split(pixels.reshape(count, *SHAPE).astype(np.uint8), labels)


def recipe_of(hypermodel, values=None, **fields):
    model = KerasTunerModel(hypermodel).with_values(values or {})
    return Space(data=Digits(), model=model, **{"epochs": 3, "batch_size": 128, **fields})


def trained(
    hypermodel,
    classes=10,
    *,
    values=None,
    validation=True,
    epochs=None,
    second=None,
    on_epoch=None,
    ask=None,
    on_total=lambda epochs: None,
    **fields,
):
    """The training and the epochs that were told."""
    told = []

    def tell(epoch, metrics):
        told.append((epoch, dict(metrics)))
        return on_epoch(epoch) if on_epoch else True

    found = fit(
        recipe_of(hypermodel, values, **fields),
        images_of(classes),
        images_of(classes, seed=1) if validation else None,
        classes=classes,
        seed=3,
        epochs=epochs,
        second_epochs=second,
        suggest=ask,
        on_epoch=tell,
        on_epochs_changed=on_total,
    )
    return found, told


@pytest.mark.parametrize(
    ("outputs", "activation", "loss", "classes"),
    [
        (10, None, keras.losses.SparseCategoricalCrossentropy(from_logits=True), 10),
        pytest.param(3, "softmax", keras.losses.categorical_crossentropy, 3, marks=pytest.mark.slow),
        pytest.param(1, "sigmoid", "binary_crossentropy", 2, marks=pytest.mark.slow),
        (2, "softmax", "categorical_crossentropy", 2),
        pytest.param(10, "softmax", "sparse_categorical_crossentropy", 10, marks=pytest.mark.slow),
        pytest.param(10, "softmax", "categorical_crossentropy", 10, marks=pytest.mark.slow),
        pytest.param(3, "softmax", keras.losses.CategoricalCrossentropy(), 3, marks=pytest.mark.slow),
        pytest.param(2, "softmax", "sparse_categorical_crossentropy", 2, marks=pytest.mark.slow),
        pytest.param(2, "sigmoid", "binary_crossentropy", 2, marks=pytest.mark.slow),
    ],
)
def test_labels_are_given_as_the_loss_takes_them(outputs, activation, loss, classes):
    """Sparse or categorical, one output or two: each learns, and its export gives probabilities."""
    hypermodel = Dense(outputs, activation, loss)
    found, told = trained(hypermodel, classes, epochs=6)
    assert found.best_value > 1.5 / classes
    assert found.best_value == max(metrics["val_accuracy"] for _, metrics in told)
    model = inference_model_of(recipe_of(hypermodel), found.model, SHAPE, classes)
    answers = keras.ops.convert_to_numpy(model(images_of(classes).images[:9].astype(np.float32)))
    assert answers.shape == (9, outputs)
    assert answers.min() >= 0
    if activation != "sigmoid":
        np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)


def test_the_hypermodels_own_compilation_is_kept():
    """Optimizer, loss and metrics are those that `build` chose."""
    found, told = trained(Dense(metrics=["accuracy", keras.metrics.TopKCategoricalAccuracy(2)], loss="mse"))
    assert float(found.model.optimizer.learning_rate) == pytest.approx(1e-2)
    assert found.model.loss == "mse"
    assert "val_top_k_categorical_accuracy" in told[0][1]


def test_an_uncompiled_model_is_compiled_as_the_recipe_says():
    """Where `build` leaves it open, the space's optimizer and learning rate count."""
    found, told = trained(two_kinds, learning_rate=0.02)
    assert float(found.model.optimizer.learning_rate) == pytest.approx(0.02)
    assert len(told) == 3


@pytest.mark.parametrize("hypermodel", [Dense(metrics=()), OwnFit(), OwnLoop(), Silent()])
def test_every_epoch_has_every_metric(hypermodel):
    """With and without a `fit` of its own, whatever the hypermodel compiles and the search compares."""
    _, told = trained(hypermodel, metric="val_loss")
    assert all({f"val_{name}" for name in SCORES} <= metrics.keys() for _, metrics in told)


def test_loss_and_metrics_are_those_of_keras_own_validation():
    """One-hot labels, a loss and metrics of the hypermodel's own: each is what `evaluate` gives."""
    hypermodel = Dense(loss="mse", metrics=["accuracy", keras.metrics.TopKCategoricalAccuracy(2)])
    found, told = trained(hypermodel, epochs=2)
    validation = images_of(10, seed=1)
    targets = np.eye(10, dtype=np.float32)[validation.labels]
    scores = found.model.evaluate(validation.images / 255, targets, verbose=0, return_dict=True)
    measured = told[found.best_epoch - 1][1]
    assert {name: measured[f"val_{name}"] for name in scores} == pytest.approx(scores, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["val_accuracy", "val_f1"])
def test_what_the_hypermodel_does_not_measure_is_measured(metric):
    """A search may aim at any metric, whatever the hypermodel compiles."""
    found, told = trained(Dense(metrics=()), metric=metric)
    assert [metrics[metric] for _, metrics in told].count(found.best_value)
    assert np.isfinite(found.best_value)


def test_the_best_epochs_weights_are_restored():
    """The trained model answers as it did in its best epoch."""
    found, told = trained(Dense(), values={"learning_rate": 0.1, "units": 64}, epochs=4)
    validation = images_of(10, seed=1)
    loss, accuracy = found.model.evaluate(validation.images / 255, validation.labels, verbose=0)
    assert accuracy == pytest.approx(found.best_value)
    assert loss == pytest.approx(told[found.best_epoch - 1][1]["val_loss"], rel=1e-4)


@pytest.mark.slow
def test_equal_seeds_train_equal_models():
    """A trial can be repeated."""
    first, second = trained(Dense())[0], trained(Dense())[0]
    for one, other in zip(first.model.get_weights(), second.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_a_trial_can_be_pruned_within_the_models_fit():
    """Our callbacks end a hypermodel's training, also in a `fit` of its own."""
    for hypermodel in (Dense(), OwnFit()):
        found, told = trained(hypermodel, on_epoch=lambda epoch: epoch < 2, values={"epochs": 3})
        assert found.end_reason == result.EndReason.PRUNED
        assert len(told) == 2


def test_an_own_fit_asks_for_hyperparameters_and_overrides_arguments():
    """`fit` may set the batch size and the epochs that it is also given."""
    asked = []

    def ask(hp):
        asked.append(hp.name)
        return {"batch_size": 64, "epochs": 2}.get(hp.name, hp.default)

    found, told = trained(OwnFit(), ask=ask)
    assert asked == ["units", "learning_rate", "batch_size", "epochs"]
    assert len(told) == 2
    assert {"val_loss", "val_accuracy"} <= told[0][1].keys()
    assert found.end_reason == result.EndReason.FINISHED


@pytest.mark.slow
def test_a_retraining_ends_where_it_is_told_to():
    """The epochs of a retraining count, whatever a `fit` of its own has chosen."""
    found, told = trained(OwnFit(), values={"epochs": 3, "batch_size": 64}, validation=False, epochs=1)
    assert len(found.history) == len(told) == 1


@pytest.mark.slow
def test_a_fit_that_trains_twice_counts_on():
    """Epochs of a second `model.fit`, to fine-tune, come after those of the first."""
    found, told = trained(TwoFits())
    epochs = recipe_of(TwoFits()).epochs
    assert [epoch for epoch, _ in told] == list(range(1, 2 * epochs + 1))
    assert len(found.history) == 2 * epochs


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rate", "patience", "phases"),
    [(0.5, None, (3, 3)), (1e6, None, (3, 0)), (1e-12, 1, (3, 0)), (10.0, None, (3, 3))],
    ids=["best at the end", "best in the first", "nothing gained", "faster"],
)
def test_a_retraining_repeats_every_call_of_fit(rate, patience, phases):
    """It ends with the weights of the trial's best epoch, whichever call of `model.fit` that was in."""
    fields = {"metric": "val_loss", "values": {"learning_rate": 1e-3}, "patience": patience}
    found, _ = trained(TwoFits(rate), **fields)
    assert (found.first_phase, found.second_phase) == phases
    again, told = trained(TwoFits(rate), validation=False, epochs=phases[0], second=phases[1], **fields)
    assert len(told) == len(again.history) == sum(phases)
    for one, other in zip(found.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.slow
def test_a_call_of_fit_that_patience_had_ended_is_repeated_as_short():
    """A retraining gives the first call the epochs that it had, and the others the rest."""
    again, told = trained(TwoFits(1.0), validation=False, epochs=1, second=2, values={"learning_rate": 1e-3})
    assert [epoch for epoch, _ in told] == [1, 2, 3]
    assert len(again.history) == 3


def test_a_loop_of_its_own_is_followed():
    """A loop that calls the callbacks one by one is reported, judged and ended as any other."""
    found, told = trained(OwnLoop(), metric="val_loss")
    assert [epoch for epoch, _ in told] == [1, 2]
    assert {"my_metric", "val_accuracy", "val_loss"} <= told[0][1].keys()
    assert found.best_epoch == 1 + min((0, 1), key=lambda epoch: told[epoch][1]["val_loss"])


def test_a_fit_that_reports_nothing_is_one_epoch():
    """A silent `fit` is judged when it is over, by what it returns."""
    found, told = trained(Silent())
    assert [epoch for epoch, _ in told] == [1]
    assert found.best_epoch == 1
    assert found.best_value == told[0][1]["val_accuracy"] == 0.5


class TwoFits(Dense):
    """Trains, then trains again at another learning rate."""

    def __init__(self, rate=1.0):
        super().__init__()
        self.rate = rate

    def fit(self, hp, model, *args, **kwargs):
        model.fit(*args, **kwargs)
        model.optimizer.learning_rate = self.rate * model.optimizer.learning_rate
        return model.fit(*args, **kwargs)


class Failing(Dense):
    """Fails in its `fit`."""

    def fit(self, hp, model, *args, **kwargs):
        raise RuntimeError("no such thing")


def failing_build(hp):
    hp.Int("x", 3, 1)


def wrong_shape(hp):
    return keras.Sequential([keras.Input((9, 9, 1)), layers.Flatten(), layers.Dense(10)])


@pytest.mark.parametrize(
    ("hypermodel", "message"),
    [
        (Failing(), r"model: Failing.fit\(\) failed in .*test_fit.py, line \d+, with RuntimeError: no such thing"),
        (failing_build, r"model: failing_build\(\) failed in .*test_fit.py, line \d+, with ValueError"),
        (lambda hp: 3, r"must return a keras.Model, got 3"),
        (wrong_shape, r"does not accept images of shape \(8, 8, 1\)"),
        (Dense(7), r"outputs of shape \(n, 10\), got outputs of shape \(None, 7\)"),
    ],
)
def test_a_broken_hypermodel_is_told_with_the_users_own_line(hypermodel, message):
    """What is wrong with a hypermodel is one sentence about it."""
    with pytest.raises(ModelError, match=message):
        trained(hypermodel)


def test_errors_of_the_search_are_not_the_hypermodels():
    """What goes wrong while an epoch is stored passes through a `fit` of the user's as it is."""

    def on_epoch(epoch):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        trained(OwnFit(), on_epoch=on_epoch)


def test_the_export_holds_no_random_layers():
    """Layers that change images at random are left out of the exported model; it holds its own rescaling."""

    def build(hp):
        return keras.Sequential(
            [keras.Input(SHAPE), layers.RandomFlip(), layers.RandomRotation(0.1), layers.Flatten(), layers.Dense(10)]
        )

    found, _ = trained(build, epochs=1)
    model = inference_model_of(recipe_of(build), found.model, SHAPE, 10)
    names = [type(layer).__name__ for layer in model._flatten_layers()]
    assert not [name for name in names if name.startswith("Random")]
    assert "Rescaling" in names
    images = images_of(10).images[:4]
    expected = keras.ops.softmax(found.model(images.astype(np.float32) / 255, training=False))
    np.testing.assert_allclose(model(images.astype(np.float32)), expected, atol=1e-5)


class Endless(Dense):
    """Trains in a loop that heeds nothing and catches every error."""

    def __init__(self, event):
        super().__init__()
        self.event, self.rounds = event, 0

    def fit(self, hp, model, x, y, callbacks=None, **kwargs):
        for callback in callbacks:
            callback.set_model(model)
        for epoch in range(50):
            self.rounds += 1
            model.train_on_batch(x[:32], y[:32])
            for callback in callbacks:
                try:
                    if self.event == "step":
                        callback.on_train_batch_end(epoch)
                    else:
                        callback.on_epoch_end(epoch, logs={})
                except Exception:  # noqa: BLE001 - as a user's loop may
                    pass


@pytest.mark.parametrize("event", ["step", "epoch"])
def test_a_loop_that_heeds_nothing_is_ended(event):
    """The time limit and Ctrl-C hold for it too; an epoch whose validation they ended does not count."""
    hypermodel = Endless(event)
    recipe = recipe_of(hypermodel, epochs=50)
    found = fit(recipe, images_of(10), images_of(10, seed=1), classes=10, seed=3, stop=lambda: True)
    assert hypermodel.rounds <= 3
    assert (found.end_reason, found.history) == (result.EndReason.STOPPED, ())
