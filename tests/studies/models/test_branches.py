import keras
import numpy as np
import pytest

from spaces import Branch, Branches, Digits, Int, Space, flatten
from spaces.space import baseline, resolve
from studies.backend.quiet import quiet_keras
from studies.models.build import build_model, inference_model

TUTORIAL = Branches(Branch(32, 3), Branch(64, 5), dense_units=128)


def recipe_of(record):
    return Space(data=Digits(), backbone=record, augment=None, dropout=0.0)


def kernels(model):
    return {layer.name: layer.kernel.shape for layer in model.layers if hasattr(layer, "kernel")}


def test_branches_are_concatenated():
    """Each branch has its own kernels, and halves the image where it can; their maps are put together as channels."""
    model = build_model(recipe_of(TUTORIAL), (8, 8, 3), 10)
    assert kernels(model) == {
        "branch1_convolution": (3, 3, 3, 32),
        "branch2_convolution": (5, 5, 3, 64),
        "dense": (4 * 4 * 96, 128),
        "logits": (128, 10),
    }
    row = build_model(recipe_of(TUTORIAL), (1, 8, 1), 3)
    assert model.get_layer("branches").output.shape == (None, 4, 4, 96)
    assert row.get_layer("branches").output.shape == (None, 1, 8, 96)


def test_branch_has_its_own_activation_and_pooling():
    """Activation and pooling are those of the branch, computed by hand on one image."""
    record = Branches(Branch(1, 1, activation="tanh", downsample="average"), Branch(1, 1, activation="relu"))
    model = build_model(recipe_of(record), (2, 2, 1), 2)
    for name, weight in (("branch1_convolution", 1.0), ("branch2_convolution", -1.0)):
        model.get_layer(name).set_weights([np.full((1, 1, 1, 1), weight), np.zeros(1)])
    pixels = np.array([[0, 51], [102, 255]], np.float32)
    maps = keras.Model(model.input, model.get_layer("branches").output)(pixels[None, :, :, None])
    expected = [np.tanh(pixels / 255).mean(), np.maximum(-pixels / 255, 0).max()]
    np.testing.assert_allclose(np.ravel(maps), expected, atol=1e-6)


@pytest.mark.parametrize("pooling", ["flatten", "average", "max"])
def test_branches_are_exported_as_plain_keras(pooling, tmp_path):
    """Any number of branches is saved and loaded without custom objects, and answers the same."""
    recipe, shape = recipe_of(Branches(Branch(2), Branch(3, 5), Branch(4, 1), pooling=pooling)), (8, 8, 1)
    model = inference_model(recipe, build_model(recipe, shape, 3), shape, 3)
    with quiet_keras():
        model.save(tmp_path / "model.keras")
    images = np.random.default_rng(0).integers(0, 256, (2, *shape), np.uint8)
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(images), model(images), atol=1e-6)


def test_branch_fields_are_parameters():
    """Each branch's filters and kernel are parameters of their own."""
    record = Branches(Branch(Int(2, 8, default=4)), Branch(4, Int(3, 5)), dense_units=Int(0, 8))
    space = recipe_of(record)
    names = {each.name for each in flatten(space)}
    assert {"backbone.branch_1.filters", "backbone.branch_2.kernel_size", "backbone.dense_units"} <= names
    chosen = {**baseline(space), "backbone.branch_1.filters": 6, "backbone.branch_2.kernel_size": 5}
    model = build_model(resolve(space, chosen), (8, 8, 1), 3)
    assert kernels(model)["branch1_convolution"] == (3, 3, 1, 6)
    assert kernels(model)["branch2_convolution"] == (5, 5, 1, 4)
