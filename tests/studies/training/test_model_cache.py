"""Kept models: training with one gives bit for bit what training with a new one gives."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from spaces import (
    CNN,
    SGD,
    AdamW,
    Augment,
    Branch,
    Branches,
    Constant,
    Cosine,
    Custom,
    Digits,
    FineTune,
    Pretrained,
    RMSprop,
    Space,
)
from studies.backend.quiet import quiet_keras
from studies.data.dataset import Split
from studies.features.heads import build_head
from studies.models import pretrained
from studies.models.build import build_model, inference_model
from studies.training import result
from studies.training.feed import training_feed
from studies.training.model_cache import CompiledModelCache
from tests.support.fitting import fit

SIDE = 8
FIRST = Space(
    data=Digits(),
    backbone=CNN(filters=4, blocks=2, dense_units=8, block_dropout=0.2),
    augment=None,
    dropout=0.3,
    learning_rate=0.01,
    batch_size=32,
    schedule=Constant(),
    epochs=2,
)
BRANCHES = Branches(Branch(4, 3), Branch(4, 5), dense_units=8)


def noisy(images, classes, seed, shape=(SIDE, SIDE, 1)):
    """Images of classes that differ in brightness a little."""
    rng = np.random.default_rng(seed)
    labels = np.arange(images, dtype=np.int64) % classes
    pixels = rng.integers(0, 80, (images, *shape)) + (150 // classes) * labels.reshape(-1, *[1] * len(shape))
    return Split(pixels.astype(np.uint8), labels)


def fitted(recipe, seed, warm=None, *, classes=3, shape=(SIDE, SIDE, 1), build=build_model, **more):
    images, validation = (noisy(count, classes, count, shape) for count in (75, 30))
    more.setdefault("validation", validation)
    return fit(recipe, images, classes=classes, seed=seed, build=build, model_cache=warm, **more)


def weights(trained):
    """A copy: a kept model's weights are another training's later."""
    return trained.history, [np.array(weight) for weight in trained.model.get_weights()]


def assert_equal(one, two):
    assert one[0] == two[0]
    for first, second in zip(one[1], two[1], strict=True):
        np.testing.assert_array_equal(first, second)


def assert_trains_as_new(first, second, *, seed=2, **how):
    """A model that was kept after another training trains as a new one."""
    warm = CompiledModelCache()
    fitted(first, 1, warm, epochs=1, **how)
    assert_equal(weights(fitted(second, seed, warm, **how)), weights(fitted(second, seed, **how)))
    assert warm.reused == 1


def prepared(recipe, warm, shape=(SIDE, SIDE, 1)):
    """What a training does with a kept model, but training it."""
    model = warm.borrow(build_model(recipe, shape, 3), recipe, steps_per_epoch=3, steps_per_execution=32)
    warm.put_back()
    return model


def assert_not_shared(first, second, **how):
    warm = CompiledModelCache()
    assert prepared(first, warm, **how) is not prepared(second, warm, **how)
    assert warm.reused == 0


def small_network(record, input_shape):
    """In place of a network of `keras.applications`."""
    images = keras.Input(input_shape)
    features = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3)(images))
    return keras.Model(images, features, name="network")


def changed(recipe, **more):
    """The same structure with other numbers."""
    return replace(recipe, **{"learning_rate": 0.003, "dropout": 0.45, **more})


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 3])
def test_another_learning_rate_dropout_and_batch_size(classes):
    """What is changed most often reuses a convolutional network, whatever its head."""
    second = changed(FIRST, batch_size=16, backbone=replace(FIRST.backbone, block_dropout=0.11))
    assert_trains_as_new(FIRST, second, classes=classes)


def test_a_model_that_can_be_kept_trains_as_a_new_one():
    """Already the first training has dropout, translation and schedule in variables."""
    recipe = replace(FIRST, augment=Augment(translation=0.1), schedule=Cosine())
    assert_equal(weights(fitted(recipe, 1, CompiledModelCache())), weights(fitted(recipe, 1)))


SOME = [
    ({"schedule": Constant()}, {"schedule": Cosine(warmup=0.5)}),
    ({"optimizer": AdamW(weight_decay=0.1)}, {"optimizer": AdamW(weight_decay=0.02)}),
    ({"from_logits": False}, {}),
    ({"balance": "sampling"}, {}),
    ({"backbone": Pretrained("MobileNet", weights=None)}, {}),
    ({"augment": Augment(translation=0.1)}, {"augment": Augment(translation=0.05)}),
]
OTHERS = [
    ({"schedule": Cosine()}, {"epochs": 3, "batch_size": 16}),
    ({"schedule": Cosine()}, {"schedule": Constant()}),
    ({"schedule": Cosine(warmup=0.2, floor=0.1)}, {"schedule": Cosine(warmup=0.6, floor=0.1)}),
    ({"schedule": Constant(warmup=0.5)}, {"epochs": 3}),
    ({"optimizer": SGD(weight_decay=0.1)}, {"optimizer": SGD(weight_decay=0.02)}),
    ({"optimizer": RMSprop(momentum=0.1, clipnorm=1.0)}, {}),
    ({"balance": "class_weights"}, {}),
    ({"precision": "mixed_bfloat16"}, {}),
    ({"metric": "val_auc"}, {}),
    ({"backbone": BRANCHES}, {}),
    ({"augment": Augment(translation=0.1, flip="both", zoom=0.1)}, {}),
]
MATRIX = [
    pytest.param(*case, marks=mark)
    for mark, cases in ((pytest.mark.slow, SOME), (pytest.mark.exhaustive, OTHERS))
    for case in cases
]


@pytest.mark.parametrize(("first", "second"), MATRIX, ids=lambda fields: "-".join(map(str, fields.values()))[:40])
def test_every_kind_of_training_is_reused_exactly(first, second, monkeypatch):
    """Schedules, optimizers, losses, weights of classes, precisions, networks and augmentations."""
    monkeypatch.setattr(pretrained, "make_network", small_network)
    recipe = replace(FIRST, **first)
    shape = (SIDE, SIDE, 3) if "backbone" in first else (SIDE, SIDE, 1)
    assert_trains_as_new(recipe, changed(recipe, **second), shape=shape)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(12,), (3, 12)])
def test_a_head_on_features_is_reused_exactly(shape):
    """Also one that draws from several views."""
    recipe = replace(FIRST, backbone=Pretrained("MobileNetV2", weights=None, dense_units=8))
    assert_trains_as_new(recipe, changed(recipe, batch_size=16), shape=shape, build=build_head, validation=None)


def own_network(recipe, input_shape, outputs):
    return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(outputs)])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"dropout": 0.0}, {}),
        ({}, {"dropout": 0.0}),
        ({}, {"backbone": replace(FIRST.backbone, block_dropout=0.0)}),
        ({}, {"backbone": replace(FIRST.backbone, filters=5)}),
        ({"optimizer": SGD()}, {"optimizer": SGD(weight_decay=0.02)}),
        ({"schedule": Cosine()}, {"schedule": Cosine(floor=0.1)}),
        ({}, {"from_logits": False}),
        ({"augment": Augment(zoom=0.1)}, {"augment": Augment(zoom=0.2)}),
    ],
    ids=str,
)
def test_another_structure_is_built_anew(first, second):
    """What is traced as a constant is never taken from another trial."""
    recipe = replace(FIRST, **first)
    assert_not_shared(recipe, changed(recipe, **second))


@pytest.mark.parametrize(
    "fields",
    [{"backbone": None, "model": Custom(own_network)}, {"precision": "mixed_float16"}],
    ids=["own code", "scaled loss"],
)
def test_what_could_hold_more_is_not_kept(fields):
    """A network of the user's own, and an optimizer around the optimizer, are built for every trial."""
    recipe = replace(FIRST, **fields)
    assert_not_shared(recipe, changed(recipe))


def test_a_second_phase_is_not_kept():
    """Fine-tuning changes what is trained: its model is new in every trial."""
    network = Pretrained("MobileNet", weights=None, alpha=0.25)
    recipe = replace(FIRST, backbone=network, fine_tune=FineTune(layers=4, epochs=1))
    assert_not_shared(recipe, changed(recipe), shape=(32, 32, 3))


def test_a_frozen_dropout_is_not_kept(monkeypatch):
    """Keras copies it without its random state, so that the states of both models no longer match."""

    def network(record, input_shape):
        images = keras.Input(input_shape)
        return keras.Model(images, keras.layers.Dropout(0.5)(keras.layers.Conv2D(4, 3)(images)))

    monkeypatch.setattr(pretrained, "make_network", network)
    recipe = replace(FIRST, backbone=Pretrained("MobileNet", weights=None))
    assert_not_shared(recipe, changed(recipe), shape=(SIDE, SIDE, 3))


@pytest.mark.slow
def test_a_training_that_was_stopped_or_diverged_leaves_no_trace():
    """The next training of the kept model is that of a new one."""
    recipe = replace(FIRST, optimizer=SGD(), backbone=CNN(filters=4, blocks=1), epochs=9)
    warm = CompiledModelCache()
    asked = iter([False, True])
    stopped = fitted(replace(recipe, batch_size=1), 3, warm, stop=lambda: next(asked, True))
    assert stopped.end_reason == result.EndReason.STOPPED
    diverged = fitted(replace(recipe, learning_rate=1e30), 4, warm)
    assert diverged.end_reason == result.EndReason.DIVERGED
    assert_equal(weights(fitted(recipe, 1, warm)), weights(fitted(recipe, 1)))
    assert warm.reused == 2


@pytest.mark.slow
def test_a_model_is_lost_when_its_training_fails():
    """After an error nobody knows what a model holds."""
    warm = CompiledModelCache()
    fitted(FIRST, 1, warm)

    def fail(epoch, metrics):
        raise MemoryError("no memory")

    with pytest.raises(MemoryError):
        fitted(FIRST, 1, warm, on_epoch=fail)
    fitted(FIRST, 1, warm)
    assert warm.reused == 1


@pytest.mark.slow
def test_kept_models_survive_a_cleared_session():
    """What the worker does between two trials."""
    warm = CompiledModelCache()
    fitted(FIRST, 1, warm)
    keras.utils.clear_session(free_memory=False)
    assert_equal(weights(fitted(changed(FIRST), 2, warm)), weights(fitted(changed(FIRST), 2)))
    assert warm.reused == 1


def test_the_model_used_longest_ago_goes_first():
    """Only so many models are kept."""
    warm = CompiledModelCache(max_models=2)
    one, two, three = (replace(FIRST, backbone=replace(FIRST.backbone, dense_units=units)) for units in (1, 2, 3))
    models = [prepared(recipe, warm) for recipe in (one, two, one, three, one, two)]
    assert models[0] is models[2] is models[4]
    assert models[1] is not models[5]


def test_nothing_is_kept_after_clearing():
    """What is done when memory ran out."""
    warm = CompiledModelCache()
    before = prepared(FIRST, warm)
    warm.clear()
    assert prepared(FIRST, warm) is not before


@pytest.mark.slow
def test_a_kept_model_is_exported_with_plain_layers(tmp_path):
    """An inference model of it holds Keras' own layers alone, and is loaded without custom objects."""
    trained = fitted(FIRST, 1, CompiledModelCache())
    shape = (SIDE, SIDE, 1)
    exported = inference_model(FIRST, trained.model, shape, classes=3)
    assert {type(layer).__module__.split(".")[0] for layer in exported.layers} == {"keras"}
    with quiet_keras():
        exported.save(tmp_path / "model.keras")
    images = noisy(5, 3, 0).images.astype(np.float32)
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    expected = keras.ops.softmax(trained.model(images, training=False))
    np.testing.assert_allclose(loaded(images), expected, atol=1e-6)


@pytest.mark.slow
def test_one_batch_more_or_less_runs_the_same_steps():
    """The compiled steps end where an epoch does, so that an epoch of any length fits into them."""
    warm = CompiledModelCache()
    for size in (7, 32, 100):
        recipe = replace(FIRST, batch_size=size)
        assert training_feed(noisy(75, 3, 75), size, 1).steps == -(-75 // size)
        assert_equal(weights(fitted(recipe, 1, warm)), weights(fitted(recipe, 1)))
    assert warm.reused == 2
