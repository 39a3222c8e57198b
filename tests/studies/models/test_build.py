import keras
import numpy as np
import pytest

from spaces import CNN, Augment, Custom, Digits, Pretrained, Space
from spaces.errors import ModelError
from studies.models.build import build_model, inference_model
from studies.models.outputs import returns_logits

AUGMENT = Augment(flip="both", rotation=0.1, zoom=0.1, translation=0.1, contrast=0.2, brightness=0.1)


def own(recipe, input_shape, outputs):
    images = keras.Input(input_shape)
    hidden = keras.layers.Dense(recipe.model.units)(keras.layers.Flatten()(images))
    return keras.Model(images, keras.layers.Dense(outputs)(hidden))


RECORDS = {
    "cnn": {"backbone": CNN(4, 2)},
    "pretrained": {"backbone": Pretrained("MobileNet", weights=None, alpha=0.25, trainable_layers=3)},
    "custom": {"model": Custom(own, units=4)},
}


def recipe_of(name="cnn", **fields):
    return Space(data=Digits(), dropout=0.2, augment=AUGMENT, **RECORDS[name], **fields)


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize(("classes", "outputs", "channels"), [(2, 1, 3), (5, 5, 1)])
def test_models_return_logits(name, classes, outputs, channels):
    """Every kind of record gives one logit for two classes, else one per class, for grey and colour images."""
    model = build_model(recipe_of(name), (32, 32, channels), classes)
    assert model.output_shape == (None, outputs)
    assert returns_logits(model)
    assert not model.compiled


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize(("classes", "probabilities"), [(2, keras.ops.sigmoid), (4, keras.ops.softmax)])
def test_inference_model_returns_the_trained_models_probabilities(name, classes, probabilities):
    """An inference model answers as the trained one does, as probabilities, and is not augmented."""
    recipe, shape = recipe_of(name), (32, 32, 3)
    trained = build_model(recipe, shape, classes)
    model = inference_model(recipe, trained, shape, classes)
    images = np.random.default_rng(0).integers(0, 256, (3, *shape)).astype(np.float32)
    np.testing.assert_allclose(model(images), probabilities(trained(images, training=False)), atol=1e-6)
    assert not any(layer.name.startswith("augment") for layer in model.layers)


def test_inference_weights_are_a_copy():
    """Training on does not change an inference model."""
    recipe = recipe_of()
    trained = build_model(recipe, (8, 8, 1), 3)
    model = inference_model(recipe, trained, (8, 8, 1), 3)
    before = model.get_weights()
    trained.set_weights([weight + 1 for weight in trained.get_weights()])
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_one_class_is_refused():
    """A classifier needs at least two classes."""
    with pytest.raises(ModelError, match="at least 2 classes, got 1"):
        build_model(recipe_of(), (8, 8, 1), 1)


def test_build_function_must_be_deterministic():
    """An inference model of other shapes than the trained one is an error that names the rule."""
    sizes = iter([4, 5])

    def changing(recipe, input_shape, outputs):
        flat = [keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(next(sizes))]
        return keras.Sequential([*flat, keras.layers.Dense(outputs)])

    recipe = Space(data=Digits(), model=Custom(changing), augment=None, dropout=0.0)
    trained = build_model(recipe, (8, 8, 1), 3)
    with pytest.raises(ModelError, match="weights of other shapes"):
        inference_model(recipe, trained, (8, 8, 1), 3)
