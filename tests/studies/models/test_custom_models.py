import functools

import keras
import numpy as np
import pytest
from keras import layers

from spaces import Custom, Digits, Space
from spaces.canonical import fingerprint
from spaces.errors import ModelError
from studies.models.build import build_model, inference_model
from studies.models.custom import build_network
from studies.models.outputs import returns_logits


def built(function, classes=3, shape=(8, 8, 1), **parameters):
    return build_model(recipe_of(function, **parameters), shape, classes)


def recipe_of(function, **parameters):
    return Space(data=Digits(), model=Custom(function, **parameters), augment=None, dropout=0.25)


def flat(*last):
    return keras.Sequential([layers.Flatten(), *last])


def test_function_gets_recipe_shape_and_outputs():
    """The function gets the recipe with its own parameters, the images' shape and the number of outputs."""
    calls = []

    def build(recipe, input_shape, outputs):
        calls.append((recipe.model.units, recipe.dropout, input_shape, outputs))
        return flat(layers.Dense(outputs))

    built(build, classes=2, units=7)
    assert calls == [(7, 0.25, (8, 8, 1), 1)]


@pytest.mark.parametrize(("rescale", "largest"), [(True, 1.0), (False, 255.0)])
def test_rescale_divides_images(rescale, largest):
    """Images arrive from 0 to 1, or from 0 to 255 where that is wanted."""
    model = built(lambda recipe, shape, outputs: keras.Sequential([layers.GlobalMaxPooling2D()]), 2, rescale=rescale)
    answer = keras.ops.convert_to_numpy(model(np.full((1, 8, 8, 1), 255, np.float32)))
    assert answer[0, 0] == pytest.approx(largest)


def test_softmax_is_not_applied_twice():
    """A model that ends in a softmax is not given a second one."""
    recipe = recipe_of(lambda recipe, shape, outputs: flat(layers.Dense(outputs, activation="softmax")))
    trained = build_model(recipe, (8, 8, 1), 3)
    assert not returns_logits(trained)
    images = np.full((2, 8, 8, 1), 100, np.float32)
    model = inference_model(recipe, trained, (8, 8, 1), 3)
    np.testing.assert_allclose(model(images), trained(images), atol=1e-6)


def test_compiled_and_subclassed_models_are_accepted():
    """A compiled model and a subclass of Model are taken as they are."""

    class Own(keras.Model):
        def __init__(self, outputs):
            super().__init__()
            self.flatten, self.last = layers.Flatten(), layers.Dense(outputs)

        def call(self, images):
            return self.last(self.flatten(images))

    def compiled(recipe, shape, outputs):
        model = flat(layers.Dense(outputs))
        model.compile(loss="mse")
        return model

    assert built(compiled).output_shape == (None, 3)
    assert built(lambda recipe, shape, outputs: Own(outputs)).output_shape == (None, 3)


def wrong_field(recipe, input_shape, outputs):
    return flat(layers.Dense(recipe.model.neurons))


def wrong_kernel(recipe, input_shape, outputs):
    images = keras.Input(input_shape)
    return keras.Model(images, layers.Conv2D(4, 20)(images))


@pytest.mark.parametrize(
    ("broken", "line", "message"),
    [(wrong_field, 1, "AttributeError: .*no parameter 'neurons'"), (wrong_kernel, 2, "ValueError")],
)
def test_error_names_the_users_line(broken, line, message):
    """An error in the function, or in Keras below it, is reported with its type and the user's own line."""
    line += broken.__code__.co_firstlineno
    with pytest.raises(ModelError, match=rf"{broken.__name__}\(\) failed in {__file__}, line {line}, with {message}"):
        built(broken)


def test_out_of_memory_is_not_a_model_error():
    """A model that is too large is not wrong."""

    def huge(recipe, input_shape, outputs):
        raise MemoryError

    with pytest.raises(MemoryError):
        built(huge)


def two_outputs(recipe, input_shape, outputs):
    images = keras.Input(input_shape)
    return keras.Model(images, [layers.Flatten()(images), layers.Flatten()(images)])


@pytest.mark.parametrize(
    ("function", "classes", "message"),
    [
        (lambda *_: None, 3, "must return a keras.Model, got None"),
        (lambda *_: flat(layers.Dense(9)), 3, r"\(n, 3\), got outputs of shape \(None, 9\)"),
        (
            lambda *_: keras.Sequential([keras.Input((5, 5, 2)), layers.Flatten()]),
            3,
            r"accept images of shape \(8, 8, 1\)",
        ),
        (two_outputs, 3, "got outputs in a list"),
        (lambda *_: flat(layers.Dense(1, activation="softmax")), 2, "always 1"),
    ],
    ids=["no model", "other outputs", "other inputs", "two outputs", "softmax over one output"],
)
def test_unusable_models_are_refused(function, classes, message):
    """The function must return a model from such images to such outputs."""
    with pytest.raises(ModelError, match=message):
        built(function, classes)


def wide(units, recipe, input_shape, outputs):
    return keras.Sequential([layers.Flatten(), layers.Dense(units), layers.Dense(outputs)])


def test_partial_function_is_accepted():
    """Values may be bound beforehand; the function's name stays, and the values count in the fingerprint."""
    record = Custom(functools.partial(wide, 8), units=3)
    assert build_network(record, None, (8, 8, 1), 3).layers[1].units == 8
    assert repr(record) == "Custom(wide, units=3)"
    assert record.option_name == "wide"
    with pytest.raises(ModelError, match=r"model: wide\(\) failed in .* with ValueError"):
        build_network(Custom(functools.partial(wide, "many")), None, (8, 8, 1), 3)
    eight, again, nine = (
        fingerprint(Space(data=Digits(), model=Custom(functools.partial(wide, units)))) for units in (8, 8, 9)
    )
    assert eight == again != nine
