"""Features match those of the full network, are computed once, and have a key of all that they depend on."""

from dataclasses import replace
from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf

from spaces import ImageFolder
from spaces.errors import ExportError, ModelError
from studies.data.dataset import Split
from studies.data.sources import load
from studies.features import cached_features, extraction
from studies.features.eligibility import CACHED_VIEWS, FEATURES, IMAGES
from studies.features.heads import OneView
from studies.features.inputs import FeatureInputs
from studies.images.image_cache import entries
from studies.models.build import build_model, inference_model
from studies.training.fit import train
from studies.training.options import TrainingOptions
from tests.studies.features.conftest import save_weights
from tests.studies.features.tiny_backbone import BACKBONE, RECIPE, SIDE, VIEWS, dataset
from tests.support.images import write_classes


@pytest.fixture
def unread(monkeypatch):
    """Replace the slow backbone by zeros, and return the number of images of each pass."""
    passes = []

    class Blind(extraction.FeatureExtractor):
        def _compute(self, images, views, mirrored):
            passes.append(len(images))
            yield np.zeros((len(images), views, 256) if views else (len(images), 256))

    features = keras.Input((256,))
    network = keras.Model(features, features)
    monkeypatch.setattr(extraction, "make_extractor", lambda recipe, *_: Blind(network, recipe, print))
    return passes


def trained_on(features, recipe=RECIPE, seed=1):
    made = features.for_trial(recipe, dataset())
    return made, train(recipe, made, TrainingOptions(seed))


@pytest.mark.slow
def test_features_match_the_full_network(folder, warm, tmp_path):
    """Each row is the output of the recipe's own pooling; training images have K reproducible views instead."""
    recipe, data, features = replace(RECIPE, augment=VIEWS), dataset(), FeatureInputs(folder)
    plain, views = features.for_trial(RECIPE, data), features.for_trial(recipe, data)
    full = build_model(RECIPE, (SIDE, SIDE, 3), 2, folder=folder)
    expected = keras.Model(full.input, full.get_layer("pooling").output)(data.train.images)
    np.testing.assert_allclose(plain.train.images, expected, atol=1e-3)
    assert (plain.trained_on, plain.train.images.dtype, views.trained_on) == (FEATURES, np.float32, CACHED_VIEWS)
    assert (plain.validation.labels == data.validation.labels).all()
    assert views.train.images.shape == (70, 2, 256)
    np.testing.assert_array_equal(views.validation.images, plain.validation.images[:, None])
    assert not np.allclose(views.train.images[:, 0], views.train.images[:, 1])
    again = FeatureInputs(folder, cache=tmp_path).for_trial(recipe, dataset())
    np.testing.assert_array_equal(again.train.images, views.train.images)


def test_features_are_computed_once(folder, unread):
    """A second trial, a second run and the retraining read the features of the first trial."""
    features, data = FeatureInputs(folder), dataset()
    features.for_trial(RECIPE, data)
    features.for_trial(replace(RECIPE, dropout=0.5, backbone=replace(BACKBONE, dense_units=0)), data)
    assert len(features.for_retraining(RECIPE, data).all_images.train) == 90
    FeatureInputs(folder).for_trial(RECIPE, dataset())
    assert unread == [70, 20]


def test_trial_on_features_learns_reproducibly(folder, warm):
    """The same seed gives the same values; another seed gives others."""
    first, second = (trained_on(FeatureInputs(folder))[1] for _ in range(2))
    assert first.history == second.history
    assert first.best_value > 0.9
    assert trained_on(FeatureInputs(folder), seed=2)[1].history != first.history


def _other_pixel(recipe, data):
    images = data.train.images.copy()
    images[35, 5, 5, 1] ^= 1
    return recipe, replace(data, train=Split(images, data.train.labels))


@pytest.mark.parametrize(
    ("change", "seed", "passes"),
    [
        (lambda recipe, data: (replace(recipe, backbone=replace(BACKBONE, pooling="max")), data), 7, [70, 20]),
        (lambda recipe, data: (replace(recipe, augment=VIEWS), data), 7, [70]),
        (_other_pixel, 7, [70]),
        (lambda *same: same, 8, [70, 20]),
    ],
    ids=["pooling", "views", "images", "weights"],
)
def test_key_depends_on_everything_that_features_depend_on(tmp_path, unread, change, seed, passes):
    """Another pooling, augmented views, a single pixel or other weights in the same file give other features."""
    FeatureInputs(save_weights(tmp_path, seed=7)).for_trial(RECIPE, dataset())
    if seed != 7:
        save_weights(tmp_path, seed=seed)
    FeatureInputs(tmp_path).for_trial(*change(RECIPE, dataset()))
    assert unread[2:] == passes


def test_cached_images_are_identified_by_their_position(folder, tmp_path, unread):
    """Cached images are not read to compute the key, and different slices have different keys."""
    root = write_classes(tmp_path / "photos", {"a": 12, "b": 12})
    data = [load(ImageFolder(root, image_size=SIDE, validation=fraction), tmp_path) for fraction in (0.2, 0.2, 0.4)]
    for one in data:
        FeatureInputs(folder).for_trial(RECIPE, one)
    sizes = [(len(one.train), len(one.validation)) for one in data]
    assert unread == [*sizes[0], *sizes[2]]
    kinds = [entry.kind for entry in entries()]
    assert (kinds.count("images"), kinds.count("features")) == (1, 4)


def test_training_draws_random_views_and_inference_uses_the_first():
    """Views are drawn uniformly for each image, reproducibly for a seed."""
    views = np.broadcast_to(np.arange(3, dtype=np.float32)[None, :, None], (300, 3, 5))
    drawn = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        drawn.append(np.asarray(OneView(3)(views, training=True)))
    assert (drawn[0] == drawn[1]).all()
    assert (drawn[0] != drawn[2]).any()
    assert (np.bincount(drawn[0][:, 0].astype(int)) > 70).all()
    np.testing.assert_array_equal(OneView(3)(views, training=False), np.zeros((300, 5)))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="features"),
        pytest.param({"augment": VIEWS, "precision": "mixed_bfloat16"}, id="views", marks=pytest.mark.slow),
        pytest.param({"from_logits": False}, id="probabilities", marks=pytest.mark.slow),
    ],
)
def test_full_network_matches_its_head(folder, warm, changes):
    """The full network's outputs for images match the head's for their features; wrong features end the export."""
    recipe, data, features = replace(RECIPE, **changes), dataset(), FeatureInputs(folder)
    made, trained = trained_on(features, recipe)
    inference = inference_model(recipe, features.full_model(recipe, made, trained.model, data), (SIDE, SIDE, 3), 2)
    verify = partial(features.verify_full_model, recipe, made, trained.model, inference, data)
    found = verify()
    assert found["path"] == made.trained_on
    assert found["max_abs_difference"] < 1e-4
    outputs = np.asarray(inference(data.validation.images))
    assert ((outputs[:, 0] > 0.5) == data.validation.labels).mean() == pytest.approx(trained.best_value)
    for key, rows in features._cached._open_arrays.items():
        features._cached._open_arrays[key] = rows[::-1]
    with pytest.raises(ExportError, match="search cache --clear"):
        verify()


def test_progress_is_reported_and_can_interrupt(folder, monkeypatch):
    """It is reported after every batch of both splits; an exception ends the computation, and TF32 is allowed again."""
    is_fast, predict = tf.config.experimental.tensor_float_32_execution_enabled, keras.Model.predict_on_batch
    reported = []

    def predict_on_batch(self, images):
        assert not is_fast()
        return predict(self, images)

    def tell(done, total):
        reported.append((done, total))
        if len(reported) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(keras.Model, "predict_on_batch", predict_on_batch)
    with pytest.raises(KeyboardInterrupt):
        FeatureInputs(folder, tell).for_trial(RECIPE, dataset())
    assert reported == [(64, 70), (70, 70), (20, 20)]
    assert is_fast()
    assert [entry.shape for entry in entries()] == [(70, 256)]


def test_too_large_features_are_not_computed(folder, monkeypatch, caplog, unread):
    """Above the limit the trial trains on images, with one warning."""
    monkeypatch.setattr(cached_features, "MAX_BYTES", 1000)
    features, data = FeatureInputs(folder), dataset()
    for _ in range(2):
        made = features.for_trial(RECIPE, data)
    assert (made.trained_on, made.train, made.build, unread) == (IMAGES, data.train, build_model, [])
    assert features.full_model(RECIPE, made, "model", data) == "model"
    assert features.verify_full_model(RECIPE, made, None, None, data) == {"path": IMAGES}
    assert len(caplog.messages) == 1
    assert "running the backbone in every epoch" in caplog.text


def test_missing_weights_file_is_refused(tmp_path):
    """The error names the file before anything is computed."""
    with pytest.raises(ModelError, match=r"tiny.weights.h5 not found"):
        FeatureInputs(tmp_path).for_trial(RECIPE, dataset())
