"""Fields of a recipe that change how it is trained: logits, precision, balance and metric."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from spaces import CNN, Branch, Branches, Custom
from spaces.errors import DataError
from studies.backend.quiet import quiet_keras
from studies.data.dataset import Dataset, Split
from studies.models.build import build_model, inference_model
from studies.models.outputs import returns_logits
from studies.models.precision import precision
from studies.training.feed import evaluation_data
from studies.training.scores import compute_scores
from studies.trials.space_checks import check_metric
from tests.support.fitting import SMALL, fit

SHAPE = (8, 8, 1)


def shades(classes, images, seed):
    """Return images whose class is their brightness, with noise that makes some of them hard."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, images)
    pixels = rng.integers(0, 90, (images, *SHAPE)) + (160 // (classes - 1) * labels)[:, None, None, None]
    return Split(pixels.astype(np.uint8), labels)


def trained(recipe=SMALL, classes=3, **more):
    validation = more.pop("validation", shades(classes, 60, 1))
    return fit(recipe, shades(classes, 96, 0), validation, classes=classes, **more)


def probabilities(recipe, model, classes, split):
    return inference_model(recipe, model, SHAPE, classes).predict(evaluation_data(split, 32), verbose=0)


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 3])
def test_logits_and_probabilities_train_alike(classes):
    """A loss of logits and one of probabilities give the same epochs and predictions, up to rounding."""
    recipes = [SMALL, replace(SMALL, from_logits=False)]
    logits, outputs = (trained(recipe, classes) for recipe in recipes)
    assert (returns_logits(logits.model), returns_logits(outputs.model)) == (True, False)
    for one, two in zip(logits.history, outputs.history, strict=True):
        assert one == pytest.approx(two, rel=1e-3)
    split = shades(classes, 20, 2)
    answers = [probabilities(recipes[0], logits.model, classes, split), outputs.model.predict(split.images, verbose=0)]
    np.testing.assert_allclose(*answers, atol=1e-3)


@pytest.mark.parametrize(
    ("last", "fields", "expected"),
    [
        ("linear", {}, True),
        ("linear", {"from_logits": False}, False),
        ("softmax", {}, False),
        ("softmax", {"from_logits": False}, False),
        ("linear", {"precision": "mixed_bfloat16"}, True),
    ],
)
def test_custom_network_follows_the_recipe(last, fields, expected):
    """Logits become probabilities only where the recipe asks for them; outputs are float32 at any precision."""

    def build(recipe, input_shape, outputs):
        output = keras.layers.Dense(outputs, activation=recipe.model.last)
        return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), output])

    recipe = replace(SMALL, backbone=None, model=Custom(build, last=last), **fields)
    model = build_model(recipe, SHAPE, 3)
    assert returns_logits(model) is expected
    assert model.output.dtype == "float32"
    inference = inference_model(recipe, model, SHAPE, 3)
    assert inference.count_params() == model.count_params()
    images = shades(3, 4, 0).images.astype(np.float32)
    found = model(images)
    np.testing.assert_allclose(inference(images), keras.ops.softmax(found) if expected else found, atol=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", [CNN(4, 1), Branches(Branch(4), Branch(4, 5))])
def test_mixed_precision_trains_and_is_exported_in_float32(backbone, tmp_path):
    """Layers compute in bfloat16; weights and outputs are float32, and the export is float32 throughout."""
    recipe = replace(SMALL, backbone=backbone, precision="mixed_bfloat16", learning_rate=0.03)
    found = trained(recipe)
    assert found.best_value > 0.6
    assert {layer.compute_dtype for layer in found.model.layers if hasattr(layer, "kernel_size")} == {"bfloat16"}
    assert {weight.dtype for weight in found.model.weights} == {"float32"}
    assert found.model.output.dtype == keras.config.dtype_policy().name == "float32"
    with quiet_keras():
        inference_model(recipe, found.model, SHAPE, 3).save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert {layer.compute_dtype for layer in loaded.layers} == {"float32"}
    split = shades(3, 30, 2)
    mixed = keras.ops.softmax(found.model.predict(evaluation_data(split, 30), verbose=0))
    np.testing.assert_allclose(loaded.predict(split.images, verbose=0), mixed, atol=0.05)


def test_float16_scales_the_loss():
    """The optimizer scales the loss, so that small gradients do not vanish."""
    found = trained(replace(SMALL, precision="mixed_float16", epochs=1))
    assert isinstance(found.model.optimizer, keras.optimizers.LossScaleOptimizer)


def test_error_restores_the_precision():
    """A recipe that cannot be built leaves the policy of the next trial alone."""
    with pytest.raises(ZeroDivisionError), precision("mixed_bfloat16"):
        _ = 1 / 0
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.slow
def test_balance_raises_recall_of_the_small_class():
    """With classes of ten to one, both balances find more images of the small one."""
    rng = np.random.default_rng(0)
    labels = (np.arange(300) % 10 == 0).astype(np.int64)
    pixels = (rng.integers(0, 200, (300, *SHAPE)) + 12 * labels[:, None, None, None] for _ in range(2))
    images, validation = (Split(each.astype(np.uint8), labels) for each in pixels)
    network = CNN(filters=4, blocks=1, pooling="average")
    recipe = replace(SMALL, backbone=network, learning_rate=0.03, epochs=8, dropout=0.0)

    def recall(balance):
        balanced = replace(recipe, balance=balance)
        found = probabilities(balanced, fit(balanced, images, seed=0).model, 2, validation)
        return compute_scores(found, labels, ["many", "few"]).recall

    assert min(recall("class_weights"), recall("sampling")) > recall(None) + 0.2


@pytest.mark.slow
@pytest.mark.parametrize(("metric", "classes"), [("val_auc", 2), ("val_top_5_accuracy", 7)])
def test_validation_metrics_equal_the_test_scores(metric, classes):
    """Each metric selects the best epoch, and is the score of its weights."""
    split, recipe = shades(classes, 60, 1), replace(SMALL, metric=metric, epochs=2)
    found = trained(recipe, classes, validation=split)
    measured = {"accuracy", "auc", "precision", "recall", "f1", *(["top_5_accuracy"] if classes > 5 else [])}
    names = {"loss", "accuracy", "val_loss", *(f"val_{name}" for name in measured)}
    assert all(set(metrics) == names for metrics in found.history)
    assert found.best_value == max(metrics[metric] for metrics in found.history)
    best = found.history[found.best_epoch - 1]
    answers = probabilities(recipe, found.model, classes, split)
    scores = compute_scores(answers, split.labels, [str(index) for index in range(classes)])
    expected = {name: getattr(scores, name) for name in measured}
    assert {name: best[f"val_{name}"] for name in measured} == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("classes", "changes"),
    [
        (2, {}),
        (7, {"balance": "class_weights", "from_logits": False}),
        (7, {"balance": "class_weights", "precision": "mixed_bfloat16"}),
    ],
    ids=str,
)
def test_accuracy_and_loss_equal_those_of_keras(classes, changes, monkeypatch):
    """They are those of an unweighted validation in every epoch; the accuracy to the last bit."""
    split = shades(classes, 70, 1)
    recipe = replace(SMALL, **changes)
    full = trained(recipe, classes, validation=split).history
    monkeypatch.setattr("studies.training.fit.validates_itself", lambda model: True)
    for plain, measured in zip(trained(recipe, classes, validation=split).history, full, strict=True):
        assert measured["val_accuracy"] == plain["val_accuracy"]
        assert measured == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize("kind", ["regularizer", "added loss", "own step"])
def test_losses_added_to_a_model_count_in_validation(kind):
    """Regularisers, losses of layers and a custom `test_step` count, whatever the metric."""

    class Adding(keras.layers.Layer):
        def call(self, values):
            self.add_loss(keras.ops.mean(values) * 0 + 2.0)
            return values

    class OwnStep(keras.Model):
        def test_step(self, *inputs):
            return {**super().test_step(*inputs), "own": 5.0}

    def build(recipe, input_shape, outputs):
        images = keras.Input(input_shape)
        hidden = keras.layers.Flatten()(images)
        if kind == "added loss":
            hidden = Adding()(hidden)
        decay = keras.regularizers.L2(0.1) if kind == "regularizer" else None
        answers = keras.layers.Dense(outputs, kernel_regularizer=decay)(hidden)
        return OwnStep(images, answers) if kind == "own step" else keras.Model(images, answers)

    split = shades(3, 70, 1)
    found = trained(replace(SMALL, backbone=None, model=Custom(build), epochs=2), validation=split)
    measured = found.history[found.best_epoch - 1]
    scores = found.model.evaluate(evaluation_data(split, 32), verbose=0, return_dict=True)
    assert {name: measured[f"val_{name}"] for name in scores} == pytest.approx(scores, rel=1e-5)
    assert np.isfinite(measured["val_auc"])


def test_metrics_without_meaning_are_refused():
    """The top five of five classes, and the ROC curve of one class, are the same for every model."""
    splits = [shades(5, 10, seed) for seed in range(3)]
    dataset = Dataset(*splits, ("a", "b", "c", "d", "e"))
    with pytest.raises(DataError, match="val_top_5_accuracy"):
        check_metric("val_top_5_accuracy", dataset)
    one = Split(splits[0].images, np.zeros(10, np.int64))
    with pytest.raises(DataError, match="at least two classes"):
        check_metric("val_auc", replace(dataset, validation=one))
    check_metric("val_auc", dataset)
