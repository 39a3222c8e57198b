"""Recipes with a `Linear` head: their values, their choice of a strength, and the exported network."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from spaces import Choice, CustomData, Linear, Pretrained, Space
from spaces.errors import ModelError, SpaceError
from spaces.loading import LoadedSpace
from studies import Study
from studies.backend.quiet import quiet_keras
from studies.data.folds import fold_numbers
from studies.features import cached_features
from studies.features.eligibility import FEATURES
from studies.features.inputs import FeatureInputs
from studies.run import run
from studies.status.trial_table import summarize_trials
from studies.stop_request import StopRequest
from studies.training.linear_head import STRENGTH, train_linear
from studies.training.logistic_regression import STRENGTHS, solve
from studies.training.options import TrainingOptions
from studies.training.result import EndReason
from studies.trials.recipe_training import inference_model_of
from studies.trials.space_checks import MAX_FOLD_IMAGES, with_default_folds
from tests.studies.features.test_feature_runs import SELDOM
from tests.studies.features.tiny_backbone import BACKBONE, SIDE, VIEWS, dataset
from tests.support.fakes import Recorder
from tests.support.fitting import noisy_images

LINEAR = replace(BACKBONE, dense_units=0, head=Linear())


def recipe(strength=None, **fields):
    backbone = replace(LINEAR, head=Linear(strength=strength))
    return Space(data=CustomData(samples), backbone=backbone, **fields)


def samples():
    """The images of `dataset`, as a function of a user returns them."""
    data = dataset()
    parts = {name: getattr(data, name) for name in ("train", "test")}
    return {**{name: (part.images, part.labels) for name, part in parts.items()}, "classes": data.classes}


def split(images, seed):
    return noisy_images(images, seed, shape=(SIDE, SIDE, 3), noise=30, contrast=200)


def noisy():
    """Images whose labels are often wrong, so that strengths differ."""
    data = dataset()
    train, validation = (
        replace(part, labels=np.where(np.arange(len(part)) % 3 == 0, 1 - part.labels, part.labels))
        for part in (split(140, 3), split(60, 4))
    )
    return replace(data, train=train, validation=validation)


def test_head_is_trained_on_features_even_if_storing_them_is_off(folder, cache, monkeypatch):
    """Nothing is stored, and the head has the same value."""
    stored = FeatureInputs(folder, cache=cache).for_trial(recipe(10.0), dataset())
    monkeypatch.setenv("SEARCH_FEATURE_CACHE", "off")
    plain = FeatureInputs(folder, cache=cache / "none").for_trial(recipe(10.0), dataset())
    assert (plain.trained_on, list((cache / "none").rglob("*.npy"))) == (FEATURES, [])
    np.testing.assert_array_equal(plain.train.images, stored.train.images)


def test_features_that_are_too_large_are_an_error(folder, cache, monkeypatch):
    """A head that cannot be trained on images says what to change."""
    monkeypatch.setattr(cached_features, "MAX_BYTES", 0)
    with pytest.raises(ModelError, match=r"features are too large for head=Linear\(\.\.\.\)\nhint: use pooling"):
        FeatureInputs(folder, cache=cache).for_trial(recipe(), dataset())


def test_strength_with_the_best_validation_value_is_chosen(folder, cache):
    """An open strength is the best of those that are tried, which the result names."""
    inputs = FeatureInputs(folder, cache=cache).for_trial(recipe(), noisy())
    open_one = train_linear(recipe(), inputs, TrainingOptions(0))
    fixed = {strength: train_linear(recipe(strength), inputs, TrainingOptions(0)) for strength in STRENGTHS}
    best = min(fixed, key=lambda strength: (-fixed[strength].best_value, fixed[strength].best_loss))
    assert open_one.chosen == {STRENGTH: best}
    assert open_one.best_value == pytest.approx(fixed[best].best_value, abs=0.02)
    assert all(each.chosen == {} for each in fixed.values())


def test_stop_request_ends_a_head_without_a_value(folder, warm):
    """A stopped head is not a finished one, so that its trial is requeued."""
    inputs = FeatureInputs(folder, cache=warm).for_trial(recipe(), dataset())
    stopped = train_linear(recipe(), inputs, TrainingOptions(0, stop=lambda: True))
    assert (stopped.end_reason, stopped.best_epoch) == (EndReason.STOPPED, None)


@pytest.mark.parametrize("augment", [None, VIEWS])
def test_trained_head_gives_the_probabilities_of_the_solver(augment, folder, warm):
    """The Keras model of a head is the solution, for plain images and for cached views."""
    made = replace(recipe(10.0), augment=augment)
    inputs = FeatureInputs(folder, cache=warm).for_trial(made, dataset())
    trained = train_linear(made, inputs, TrainingOptions(0))
    solution = next(solve(np.asarray(inputs.train.images), inputs.train.labels, 2, [10.0]))
    features = np.asarray(inputs.validation.images)
    outputs = keras.ops.sigmoid(trained.model(features))
    plain = features[:, 0] if augment else features
    np.testing.assert_allclose(outputs, solution.probabilities(plain), atol=1e-5)


@pytest.mark.parametrize(
    ("folds", "change"),
    [
        (5, {}),
        (None, {"has_own_validation": True}),
        (None, {"validation": split(MAX_FOLD_IMAGES, 1)}),
        (2, {"train": split(3, 0), "validation": split(2, 1)}),
        (None, {"train": split(2, 0), "validation": split(1, 1)}),
    ],
)
def test_heads_are_judged_by_folds_where_these_help(folds, change):
    """Five folds, or fewer for small classes; none with the user's own validation images or many images."""
    data = replace(dataset(), **change)
    assert with_default_folds(recipe(), data).folds == folds
    assert with_default_folds(replace(recipe(), folds=3), data).folds == 3
    assert with_default_folds(replace(recipe(), backbone=BACKBONE), data).folds is None


@pytest.mark.slow
def test_run_searches_tests_and_exports_linear_heads(folder, cache, tmp_path):
    """The value is the mean over five folds; the export is the whole network, solved on train plus validation."""
    backbone = Choice(average=LINEAR, max=replace(LINEAR, pooling="max"))
    declared = LoadedSpace("tiny", Space(data=CustomData(samples), backbone=backbone), None, folder)
    settings = Study(trials=2, **SELDOM)
    result = run(declared, settings, output=tmp_path, export=True, listener=Recorder(), stop=StopRequest())
    rows = summarize_trials("tiny", tmp_path)
    assert [row.state for row in rows] == ["complete", "complete"]
    assert result.progress.best.chosen.keys() == {STRENGTH}
    assert result.metrics["features"]["max_abs_difference"] < 1e-5
    model = keras.models.load_model(result.export / "model.keras")
    answers = np.asarray(model(dataset().test.images))[:, 0] > 0.5
    assert (answers == dataset().test.labels).mean() == result.metrics["test"]["accuracy"]


def test_folds_of_a_head_are_those_of_any_recipe(folder, cache):
    """The value of a head is the mean over the folds that other recipes have, too."""
    from studies.training.cross_validation import fold_data
    from studies.training.linear_head import train_linear_folds

    made, data, features = replace(recipe(10.0), folds=3), noisy(), FeatureInputs(folder, cache=cache)
    reported: list[float] = []
    result = train_linear_folds(
        made, fold_data(made, data, features, 3), TrainingOptions(0), lambda fold, mean: reported.append(mean)
    )
    inputs, (train, validation) = features.for_trial(made, data), fold_numbers(data, 3)
    values = []
    images = np.concatenate([inputs.train.images, inputs.validation.images])
    labels, numbers = np.concatenate([data.train.labels, data.validation.labels]), np.concatenate([train, validation])
    for fold in range(3):
        rest, held_out = numbers != fold, numbers == fold
        solution = next(solve(images[rest], labels[rest], 2, [10.0]))
        values.append(((solution.probabilities(images[held_out])[:, 0] > 0.5) == labels[held_out]).mean())
    assert reported[-1] == result.best_value == pytest.approx(np.mean(values), abs=0.02)
    assert len(reported) == 3


@pytest.fixture(scope="module")
def pair(folder):
    """A record of two networks, the second of another family, with its own weights."""
    keras.utils.set_random_seed(3)
    second = keras.applications.MobileNetV2(weights=None, include_top=False, alpha=0.35, input_shape=(SIDE, SIDE, 3))
    with quiet_keras():
        second.save_weights(folder / "second.weights.h5")
    names, weights = ["MobileNet", "MobileNetV2"], [LINEAR.weights, "second.weights.h5"]
    return Pretrained(names, weights=weights, alpha=[0.25, 0.35], head=Linear(strength=10.0))


@pytest.mark.slow
@pytest.mark.parametrize("views", [None, "mirror"])
def test_several_networks_and_mirrored_images_are_one_model(views, pair, folder, cache):
    """The full model answers as the head on the joined features, and for mirrored images as for the images."""
    made = replace(recipe(), backbone=replace(pair, head=Linear(strength=10.0, views=views)))
    data, features = dataset(), FeatureInputs(folder, cache=cache)
    inputs = features.for_trial(made, data)
    assert (inputs.units, inputs.train.images.shape[-1]) == ((256, 1280), 1536)
    trained = train_linear(made, inputs, TrainingOptions(0)).model
    full = features.full_model(made, inputs, trained, data)
    inference = inference_model_of(made, full, data.image_shape, 2)
    found = features.verify_full_model(made, inputs, trained, inference, data)
    assert found["max_abs_difference"] < 1e-5
    images = data.test.images
    mirrored = np.abs(np.asarray(inference(images)) - np.asarray(inference(images[:, :, ::-1]))).max()
    assert (mirrored < 1e-5) == (views == "mirror")


def test_features_of_each_network_are_scaled_to_equal_deviations():
    """A network with large outputs counts no more than one with small outputs."""
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(60, 6)).astype(np.float32), np.arange(60) % 2
    scaled = features * np.array([1, 1, 1, 100, 100, 100], np.float32)
    one, other = (next(solve(given, labels, 2, [10.0], units=(3, 3))) for given in (features, scaled))
    np.testing.assert_allclose(one.probabilities(features), other.probabilities(scaled), atol=1e-3)


@pytest.mark.parametrize(
    "options",
    [
        {"name": ["MobileNet"]},
        {"name": ["MobileNet", "MobileNetV2"], "weights": ["a.h5"]},
        {"name": ["MobileNet", "MobileNetV2"], "alpha": [0.25, 0.35, 0.5]},
        {"name": ["MobileNet", "MobileNet"], "alpha": 0.25},
        {"name": "MobileNet", "alpha": [0.25, 0.5]},
        {"name": "MobileNet", "weights": ["a.h5"]},
    ],
)
def test_networks_without_their_own_weights_or_twice_are_refused(options):
    """Each of several networks has its weights and its width, and no network is there twice."""
    with pytest.raises(SpaceError, match=r"^Pretrained\(.*\): (expected two or more networks|got the same|got a list)"):
        Space(data=CustomData(samples), backbone=Pretrained(**options))
