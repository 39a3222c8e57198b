"""Features: the same as the whole network's, computed once, named after all that they depend on."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from spaces import ImageFolder
from spaces.errors import ExportError, ModelError
from studies.data.dataset import Split
from studies.data.sources import load
from studies.features import extraction, inputs
from studies.features.eligibility import CACHED_VIEWS, FEATURES, IMAGES
from studies.features.heads import OneView
from studies.features.inputs import FeatureInputs
from studies.images.image_cache import entries
from studies.models.build import build_model, inference_model
from studies.training.fit import train
from studies.training.options import TrainingOptions
from tests.studies.features.conftest import save_weights
from tests.studies.features.tiny import BACKBONE, RECIPE, SIDE, VIEWS, dataset
from tests.support.images import write_classes


@pytest.fixture
def counted(monkeypatch):
    """How many images each pass through a backbone read."""
    passes = []
    original = extraction.FeatureExtractor._compute

    def batches(self, images, views):
        passes.append(len(images))
        return original(self, images, views)

    monkeypatch.setattr(extraction.FeatureExtractor, "_compute", batches)
    return passes


@pytest.fixture
def unread(monkeypatch):
    """Instead of reading images with a backbone, which takes long, give zeros; lists how many were asked for."""
    passes = []

    class Blind(extraction.FeatureExtractor):
        def _compute(self, images, views):
            passes.append(len(images))
            yield np.zeros((len(images), views, 256) if views else (len(images), 256))

    features = keras.Input((256,))
    network = keras.Model(features, features)
    monkeypatch.setattr(extraction, "make_extractor", lambda recipe, *_: Blind(network, recipe, print))
    return passes


def trained_on(features, recipe=RECIPE, seed=1, data=None):
    data = data or dataset()
    made = features.for_trial(recipe, data)
    return made, train(recipe, made, TrainingOptions(seed))


@pytest.mark.slow
def test_features_are_those_of_the_whole_network(folder, warm, counted):
    """A cached row is what the recipe's own model gives at its pooling, for every image."""
    data = dataset()
    made = FeatureInputs(folder).for_trial(RECIPE, data)
    whole = build_model(RECIPE, (SIDE, SIDE, 3), 2, folder=folder)
    expected = keras.Model(whole.input, whole.get_layer("pooling").output)(data.train.images)
    np.testing.assert_allclose(made.train.images, expected, atol=1e-3)
    assert made.trained_on == FEATURES
    assert made.train.images.dtype == np.float32
    assert (made.validation.labels == data.validation.labels).all()
    assert counted == []


def test_features_are_computed_once(folder, unread):
    """A second trial, a second run and the retraining read what the first trial has computed."""
    features, data = FeatureInputs(folder), dataset()
    features.for_trial(RECIPE, data)
    features.for_trial(replace(RECIPE, dropout=0.5, backbone=replace(BACKBONE, dense_units=0)), data)
    assert len(features.for_retraining(RECIPE, data).all_images.train) == 90
    FeatureInputs(folder).for_trial(RECIPE, dataset())
    assert unread == [70, 20]


def test_a_trial_on_features_learns_and_repeats(folder, warm):
    """The same seed gives the same values; another seed gives others."""
    first, second = (trained_on(FeatureInputs(folder))[1] for _ in range(2))
    assert first.history == second.history
    assert first.best_value > 0.9
    assert trained_on(FeatureInputs(folder), seed=2)[1].history != first.history


@pytest.mark.parametrize(
    ("change", "passes"),
    [
        (lambda recipe, data: (replace(recipe, backbone=replace(BACKBONE, pooling="max")), data), [70, 20]),
        (lambda recipe, data: (replace(recipe, augment=VIEWS), data), [70]),
        (lambda recipe, data: (recipe, replace(data, train=_other_pixel(data.train))), [70]),
    ],
    ids=["pooling", "views", "images"],
)
def test_what_features_depend_on_is_in_their_name(folder, unread, change, passes):
    """Another pooling, changed views or one other pixel are never mistaken for each other."""
    FeatureInputs(folder).for_trial(RECIPE, dataset())
    FeatureInputs(folder).for_trial(*change(RECIPE, dataset()))
    assert unread[2:] == passes


def _other_pixel(split: Split) -> Split:
    images = split.images.copy()
    images[35, 5, 5, 1] ^= 1
    return Split(images, split.labels)


def test_other_weights_in_the_same_file_are_other_features(folder, tmp_path, unread):
    """It is the content of the file that counts, not its name."""
    save_weights(tmp_path, seed=7)
    FeatureInputs(tmp_path).for_trial(RECIPE, dataset())
    save_weights(tmp_path, seed=8)
    FeatureInputs(tmp_path).for_trial(RECIPE, dataset())
    assert unread == [70, 20, 70, 20]


def test_a_slice_of_decoded_images_is_named_after_its_place(folder, tmp_path, unread):
    """Decoded images are not read again to name their features; other slices of them are told apart."""
    root = write_classes(tmp_path / "photos", {"a": 12, "b": 12})
    data = [load(ImageFolder(root, image_size=SIDE, validation=share), tmp_path) for share in (0.2, 0.2, 0.4)]
    for one in data:
        FeatureInputs(folder).for_trial(RECIPE, one)
    sizes = [(len(one.train), len(one.validation)) for one in data]
    assert unread == [*sizes[0], *sizes[2]]
    kinds = [entry.kind for entry in entries()]
    assert (kinds.count("images"), kinds.count("features")) == (1, 4)


@pytest.mark.slow
def test_views_are_drawn_once_and_differ(folder, warm, tmp_path):
    """Each training image has K views, the same ones whenever they are computed; validation images stay as they are."""
    recipe, data = replace(RECIPE, augment=VIEWS), dataset()
    features = FeatureInputs(folder)
    made, plain = features.for_trial(recipe, data), features.for_trial(RECIPE, data)
    assert made.trained_on == CACHED_VIEWS
    assert made.train.images.shape == (70, 2, 256)
    np.testing.assert_array_equal(made.validation.images, plain.validation.images[:, None])
    assert not np.allclose(made.train.images[:, 0], made.train.images[:, 1])
    again = FeatureInputs(folder, cache=tmp_path).for_trial(recipe, dataset())
    np.testing.assert_array_equal(again.train.images, made.train.images)


def test_training_draws_from_all_views_and_answers_follow_the_first():
    """Every view is taken about as often, image by image, in an order that follows from the seed."""
    views = np.broadcast_to(np.arange(3, dtype=np.float32)[None, :, None], (300, 3, 5))

    def drawn(seed):
        keras.utils.set_random_seed(seed)
        return np.asarray(OneView(3)(views, training=True))

    assert (drawn(1) == drawn(1)).all()
    assert (drawn(1) != drawn(2)).any()
    assert (np.bincount(drawn(1)[:, 0].astype(int)) > 70).all()
    np.testing.assert_array_equal(OneView(3)(views, training=False), np.zeros((300, 5)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [{}, {"augment": VIEWS, "precision": "mixed_bfloat16"}, {"from_logits": False}],
    ids=["features", "views", "probabilities"],
)
def test_the_whole_network_answers_as_its_head(folder, warm, changes):
    """Put together, the network gives for images what the head gives for their features."""
    recipe, data, features = replace(RECIPE, **changes), dataset(), FeatureInputs(folder)
    made, trained = trained_on(features, recipe, data=data)
    whole = features.full_model(recipe, made, trained.model, data)
    inference = inference_model(recipe, whole, (SIDE, SIDE, 3), 2)
    found = features.verify_full_model(recipe, made, trained.model, inference, data)
    assert found["path"] == made.trained_on
    assert found["max_abs_difference"] < 1e-4
    answers = inference(data.validation.images)
    assert ((np.asarray(answers)[:, 0] > 0.5) == data.validation.labels).mean() == pytest.approx(trained.best_value)


def test_features_of_something_else_are_noticed(folder, warm):
    """A cache whose rows are not those of the images ends the export."""
    data, features = dataset(), FeatureInputs(folder)
    made, trained = trained_on(features, data=data)
    inference = inference_model(RECIPE, features.full_model(RECIPE, made, trained.model, data), (SIDE, SIDE, 3), 2)
    for key, rows in features._open_arrays.items():
        features._open_arrays[key] = rows[::-1]
    with pytest.raises(ExportError, match="search cache --clear"):
        features.verify_full_model(RECIPE, made, trained.model, inference, data)


def test_the_images_done_are_told(folder):
    """After every batch, for the training and for the validation images; what is raised then ends it."""
    told = []

    def tell(done, total):
        told.append((done, total))
        if len(told) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        FeatureInputs(folder, tell).for_trial(RECIPE, dataset())
    assert told == [(64, 70), (70, 70), (20, 20)]
    assert [entry.shape for entry in entries()] == [(70, 256)]


def test_features_that_are_too_large_are_left(folder, monkeypatch, caplog, unread):
    """Beyond the limit the backbone runs as usual, with one warning, and the record says so."""
    monkeypatch.setattr(inputs, "MAX_BYTES", 1000)
    features, data = FeatureInputs(folder), dataset()
    for _ in range(2):
        made = features.for_trial(RECIPE, data)
    assert (made.trained_on, made.train, made.build, unread) == (IMAGES, data.train, build_model, [])
    assert features.full_model(RECIPE, made, "model", data) == "model"
    assert features.verify_full_model(RECIPE, made, None, None, data) == {"path": IMAGES}
    assert len(caplog.messages) == 1
    assert "running the backbone in every epoch" in caplog.text


def test_features_are_computed_in_full_precision(folder, cache, monkeypatch):
    """No device rounds the products of float32 meanwhile; afterwards it may again."""
    switch = tf.config.experimental
    seen = []
    original = keras.Model.predict_on_batch

    def predict_on_batch(self, images):
        seen.append(switch.tensor_float_32_execution_enabled())
        return original(self, images)

    monkeypatch.setattr(keras.Model, "predict_on_batch", predict_on_batch)
    FeatureInputs(folder).for_trial(RECIPE, dataset())
    assert set(seen) == {False}
    assert switch.tensor_float_32_execution_enabled()


def test_a_missing_file_of_weights_is_told(tmp_path):
    """Before anything is computed."""
    with pytest.raises(ModelError, match=r"tiny.weights.h5 not found"):
        FeatureInputs(tmp_path).for_trial(RECIPE, dataset())
