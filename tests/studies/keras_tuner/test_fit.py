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
from tests.studies.keras_tuner.hypermodels import SHAPE, Dense, OwnFit, OwnLoop, Silent
from tests.support.fitting import fit


def images_of(classes, count=384, seed=0):
    """Return images whose class is given by a few bright pixels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    pixels = rng.integers(0, 60, (count, 64))
    for column in range(5):
        pixels[np.arange(count), labels * 6 + column] += 190
    return Split(pixels.reshape(count, *SHAPE).astype(np.uint8), labels)


def recipe_of(hypermodel, values=None, **fields):
    model = KerasTunerModel(hypermodel).with_values(values or {})
    return Space(data=Digits(), model=model, **{"epochs": 3, "batch_size": 128, **fields})


OPTIONS = {
    "stop": "stop",
    "epochs": "epochs",
    "second": "second_epochs",
    "ask": "suggest",
    "on_total": "on_epochs_changed",
}


def trained(hypermodel, classes=10, *, values=None, validation=True, on_epoch=None, **fields):
    """Train a hypermodel; return the result and the reported epochs with their metrics."""
    told = []

    def tell(epoch, metrics):
        told.append((epoch, dict(metrics)))
        return on_epoch(epoch) if on_epoch else True

    options = {option: fields.pop(name) for name, option in OPTIONS.items() if name in fields}
    splits = images_of(classes), images_of(classes, seed=1) if validation else None
    recipe = recipe_of(hypermodel, values, **fields)
    return fit(recipe, *splits, classes=classes, seed=3, on_epoch=tell, **options), told


@pytest.mark.parametrize(
    ("outputs", "activation", "loss", "classes"),
    [
        (10, None, keras.losses.SparseCategoricalCrossentropy(from_logits=True), 10),
        pytest.param(1, "sigmoid", "binary_crossentropy", 2, marks=pytest.mark.slow),
        (2, "softmax", "categorical_crossentropy", 2),
        pytest.param(3, "softmax", keras.losses.CategoricalCrossentropy(), 3, marks=pytest.mark.slow),
        pytest.param(2, "sigmoid", "binary_crossentropy", 2, marks=pytest.mark.slow),
    ],
)
def test_labels_have_the_format_of_the_loss(outputs, activation, loss, classes):
    """A network learns with labels for each kind of loss and output, and its export gives probabilities."""
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


@pytest.mark.parametrize(
    ("hypermodel", "metric"),
    [(Dense(metrics=()), "val_f1"), (OwnFit(), "val_loss"), (OwnLoop(), "val_loss"), (Silent(), "val_loss")],
)
def test_every_epoch_has_every_metric(hypermodel, metric):
    """A study may use any metric, whatever the hypermodel compiles or its own `fit` reports."""
    found, told = trained(hypermodel, metric=metric)
    assert all({f"val_{name}" for name in SCORES} <= metrics.keys() for _, metrics in told)
    assert np.isfinite(found.best_value)


def test_best_epoch_is_restored_with_the_hypermodels_own_compilation():
    """Optimizer, loss and metrics are those of `build`; the model's own `evaluate` gives what the best epoch gave."""
    hypermodel = Dense(loss="mse", metrics=["accuracy", keras.metrics.TopKCategoricalAccuracy(2)])
    found, told = trained(hypermodel, values={"learning_rate": 0.1, "units": 64}, epochs=4)
    assert float(found.model.optimizer.learning_rate) == pytest.approx(0.1)
    assert found.model.loss == "mse"
    validation = images_of(10, seed=1)
    targets = np.eye(10, dtype=np.float32)[validation.labels]
    scores = found.model.evaluate(validation.images / 255, targets, verbose=0, return_dict=True)
    measured = told[found.best_epoch - 1][1]
    assert {name: measured[f"val_{name}"] for name in scores} == pytest.approx(scores, rel=1e-4)
    assert scores.keys() >= {"accuracy", "top_k_categorical_accuracy"}


def test_own_fit_asks_for_hyperparameters_and_overrides_arguments():
    """`fit` may set the batch size and the epochs that it also receives."""
    values, asked = {"batch_size": 64, "epochs": 2}, []
    found, told = trained(OwnFit(), ask=lambda hp: asked.append(hp.name) or values.get(hp.name, hp.default))
    assert asked == ["units", "learning_rate", "batch_size", "epochs"]
    assert (len(told), found.end_reason) == (2, result.EndReason.FINISHED)


def failing_build(hp):
    hp.Int("x", 3, 1)


def wrong_shape(hp):
    return keras.Sequential([keras.Input((9, 9, 1)), layers.Flatten(), layers.Dense(10)])


@pytest.mark.parametrize(
    ("hypermodel", "message"),
    [
        (failing_build, r"model: failing_build\(\) failed in .*test_fit.py, line \d+, with ValueError"),
        (lambda hp: 3, r"must return a keras.Model, got 3"),
        (wrong_shape, r"does not accept images of shape \(8, 8, 1\)"),
        (Dense(7), r"outputs of shape \(n, 10\), got outputs of shape \(None, 7\)"),
    ],
)
def test_broken_hypermodel_is_reported_with_the_users_line(hypermodel, message):
    """The error names the method, the user's file and line, and the cause."""
    with pytest.raises(ModelError, match=message):
        trained(hypermodel)


def test_uncompiled_model_with_random_layers_is_compiled_and_exported():
    """The space's learning rate counts; the export omits layers that change images at random, and rescales."""

    def build(hp):
        augmentation = [layers.RandomFlip(), layers.RandomRotation(0.1)]
        return keras.Sequential([keras.Input(SHAPE), *augmentation, layers.Flatten(), layers.Dense(10)])

    found, _ = trained(build, learning_rate=0.02)
    assert float(found.model.optimizer.learning_rate) == pytest.approx(0.02)
    model = inference_model_of(recipe_of(build), found.model, SHAPE, 10)
    names = [type(layer).__name__ for layer in model._flatten_layers()]
    assert not [name for name in names if name.startswith("Random")]
    assert "Rescaling" in names
    images = images_of(10).images[:4]
    expected = keras.ops.softmax(found.model(images.astype(np.float32) / 255, training=False))
    np.testing.assert_allclose(model(images.astype(np.float32)), expected, atol=1e-5)
