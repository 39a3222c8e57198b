"""Training with a cached model gives, bit for bit, what training with a new one gives."""

from dataclasses import replace
from unittest.mock import Mock

import keras
import numpy as np
import pytest

from spaces import CNN, SGD, AdamW, Augment, Branch, Branches, Constant, Cosine, Custom, FineTune, Pretrained, RMSprop
from studies.backend.quiet import quiet_keras
from studies.features.heads import build_head
from studies.models import pretrained
from studies.models.build import build_model, inference_model
from studies.training.model_cache import CompiledModelCache
from studies.training.result import EndReason
from tests.support.fitting import SMALL, fit, noisy_images, small_network
from tests.support.resumable import custom_network

SIDE = 8
FIRST = replace(SMALL, backbone=CNN(filters=4, blocks=2, dense_units=8, block_dropout=0.2), dropout=0.3, epochs=2)
BRANCHES = Branches(Branch(4, 3), Branch(4, 5), dense_units=8)


def fitted(recipe, seed, cache=None, *, classes=3, shape=(SIDE, SIDE, 1), build=build_model, **more):
    levels = {"noise": 80, "contrast": 150 // classes}
    images, validation = (noisy_images(n, n, classes=classes, shape=shape, **levels) for n in (75, 30))
    more.setdefault("validation", validation)
    return fit(recipe, images, classes=classes, seed=seed, build=build, model_cache=cache, **more)


def outcome(trained):
    """Return history and a copy of the weights, which the next training of a cached model changes."""
    return trained.history, [weight.tobytes() for weight in trained.model.get_weights()]


def prepared(recipe, cache, shape=(SIDE, SIDE, 1)):
    """Return the model that a training would get."""
    model = cache.borrow(build_model(recipe, shape, 3), recipe, steps_per_epoch=3, steps_per_execution=32)
    cache.put_back()
    return model


def assert_not_shared(first, second, **how):
    cache = CompiledModelCache()
    assert prepared(first, cache, **how) is not prepared(second, cache, **how)
    assert cache.reused == 0


def changed(recipe, **more):
    """Return a recipe of the same structure with other numbers."""
    return replace(recipe, **{"learning_rate": 0.003, "dropout": 0.45, **more})


def test_first_training_of_a_cacheable_model_trains_as_a_plain_one():
    """Its dropout, translation and schedule are variables from the start."""
    recipe = replace(FIRST, augment=Augment(translation=0.1), schedule=Cosine())
    assert outcome(fitted(recipe, 1, CompiledModelCache())) == outcome(fitted(recipe, 1))


HEAD = {"backbone": Pretrained("MobileNetV2", weights=None, dense_units=8)}
SOME = [
    ({}, {"batch_size": 16, "backbone": replace(FIRST.backbone, block_dropout=0.11)}, {"classes": 2}),
    ({}, {"batch_size": 100, "backbone": replace(FIRST.backbone, block_dropout=0.11)}),
    (HEAD, {"batch_size": 16}, {"shape": (12,), "build": build_head, "validation": None}),
    (HEAD, {"batch_size": 16}, {"shape": (3, 12), "build": build_head, "validation": None}),
    ({"schedule": Constant()}, {"schedule": Cosine(warmup=0.5)}),
    ({"optimizer": AdamW(weight_decay=0.1)}, {"optimizer": AdamW(weight_decay=0.02)}),
    ({"from_logits": False}, {}),
    ({"balance": "sampling"}, {}),
    ({"backbone": Pretrained("MobileNet", weights=None)}, {}, {"shape": (SIDE, SIDE, 3)}),
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
    pytest.param(*case, *[{}] * (3 - len(case)), marks=mark, id="-".join(str(each.values()) for each in case)[:60])
    for mark, cases in ((pytest.mark.slow, SOME), (pytest.mark.exhaustive, OTHERS))
    for case in cases
]


@pytest.mark.parametrize(("first", "second", "how"), MATRIX)
def test_every_kind_of_training_is_reused_exactly(first, second, how):
    """Numbers of a trial, schedules, optimizers, losses, class weights, precisions, networks, heads, augmentations."""
    cache, recipe = CompiledModelCache(), replace(FIRST, **first)
    fitted(recipe, 1, cache, epochs=1, **how)
    recipe = changed(recipe, **second)
    assert outcome(fitted(recipe, 2, cache, **how)) == outcome(fitted(recipe, 2, **how))
    assert cache.reused == 1


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
def test_another_structure_gets_a_new_model(first, second):
    """A trial never reuses a constant that another one traced."""
    recipe = replace(FIRST, **first)
    assert_not_shared(recipe, changed(recipe, **second))


def network_with_dropout(record, input_shape):
    """Return a network whose copy Keras makes without the random state."""
    images = keras.Input(input_shape)
    return keras.Model(images, keras.layers.Dropout(0.5)(keras.layers.Conv2D(4, 3)(images)))


PRETRAINED = Pretrained("MobileNet", weights=None)


@pytest.mark.parametrize(
    ("fields", "network"),
    [
        ({"backbone": None, "model": Custom(custom_network)}, None),
        ({"precision": "mixed_float16"}, None),
        ({"backbone": PRETRAINED}, network_with_dropout),
        ({"backbone": PRETRAINED, "fine_tune": FineTune(layers=4, epochs=1)}, small_network),
    ],
    ids=["custom code", "scaled loss", "frozen dropout", "second phase"],
)
def test_model_with_further_state_is_not_cached(monkeypatch, fields, network):
    """Custom code, a loss scale, a frozen dropout and a second phase get a new model for every trial."""
    monkeypatch.setattr(pretrained, "make_network", network)
    recipe = replace(FIRST, **fields)
    assert_not_shared(recipe, changed(recipe), shape=(SIDE, SIDE, 3 if network else 1))


@pytest.mark.slow
def test_stopped_or_diverged_training_leaves_no_trace():
    """The next training of the cached model is that of a new one, in a cleared session too."""
    recipe = replace(FIRST, optimizer=SGD(), backbone=CNN(filters=4, blocks=1), epochs=9)
    cache, asked = CompiledModelCache(), iter([False, True])
    stopped = fitted(replace(recipe, batch_size=1), 3, cache, stop=lambda: next(asked, True))
    diverged = fitted(replace(recipe, learning_rate=1e30), 4, cache)
    assert (stopped.end_reason, diverged.end_reason) == (EndReason.STOPPED, EndReason.DIVERGED)
    keras.utils.clear_session(free_memory=False)
    assert outcome(fitted(recipe, 1, cache)) == outcome(fitted(recipe, 1))
    assert cache.reused == 2


@pytest.mark.slow
def test_model_of_a_failed_training_is_not_cached():
    """After an error the state of the model is unknown."""
    cache = CompiledModelCache()
    fitted(FIRST, 1, cache)
    with pytest.raises(MemoryError):
        fitted(FIRST, 1, cache, on_epoch=Mock(side_effect=MemoryError))
    fitted(FIRST, 1, cache)
    assert cache.reused == 1


def test_least_recently_used_model_is_evicted():
    """The cache holds `max_models` models, and none once it is cleared, which frees memory when that runs out."""
    cache = CompiledModelCache(max_models=2)
    one, two, three = (replace(FIRST, backbone=replace(FIRST.backbone, dense_units=units)) for units in (1, 2, 3))
    models = [prepared(recipe, cache) for recipe in (one, two, one, three, one, two)]
    assert models[0] is models[2] is models[4]
    assert models[1] is not models[5]
    cache.clear()
    assert prepared(two, cache) is not models[5]


@pytest.mark.slow
def test_cached_model_is_exported_with_plain_layers(tmp_path):
    """Its inference model holds only layers of Keras, and loads without custom objects."""
    trained = fitted(FIRST, 1, CompiledModelCache())
    shape = (SIDE, SIDE, 1)
    exported = inference_model(FIRST, trained.model, shape, classes=3)
    assert {type(layer).__module__.split(".")[0] for layer in exported.layers} == {"keras"}
    with quiet_keras():
        exported.save(tmp_path / "model.keras")
    images = noisy_images(5, 0, classes=3, shape=shape).images.astype(np.float32)
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    expected = keras.ops.softmax(trained.model(images, training=False))
    np.testing.assert_allclose(loaded(images), expected, atol=1e-6)
