import functools

import keras
import numpy as np
import pytest
from keras import layers

from spaces import Custom, Digits, Space
from spaces.canonical import fingerprint
from spaces.errors import ModelError
from studies.models.build import build_model
from studies.models.custom import build_network


def built(function, classes=3, shape=(8, 8, 1), **parameters):
    recipe = Space(data=Digits(), model=Custom(function, **parameters), augment=None, dropout=0.25)
    return build_model(recipe, shape, classes)


def flat(*last):
    return keras.Sequential([layers.Flatten(), *last])


def test_function_gets_recipe_shape_and_outputs():
    """The function gets the recipe with its own parameters, the images' shape and the number of outputs."""

    def build(recipe, *shapes):
        assert (recipe.model.units, recipe.dropout, shapes) == (7, 0.25, ((8, 8, 1), 1))
        return flat(layers.Dense(1))

    built(build, classes=2, units=7)


@pytest.mark.parametrize(("rescale", "largest"), [(True, 1.0), (False, 255.0)])
def test_rescale_divides_images(rescale, largest):
    """Images arrive from 0 to 1, or from 0 to 255 where that is wanted."""
    model = built(lambda recipe, shape, outputs: keras.Sequential([layers.GlobalMaxPooling2D()]), 2, rescale=rescale)
    answer = keras.ops.convert_to_numpy(model(np.full((1, 8, 8, 1), 255, np.float32)))
    assert answer[0, 0] == pytest.approx(largest)


class Own(keras.Model):
    def __init__(self):
        super().__init__()
        self.flatten, self.last = layers.Flatten(), layers.Dense(3)

    def call(self, images):
        return self.last(self.flatten(images))


def compiled(*_):
    model = flat(layers.Dense(3))
    model.compile(loss="mse")
    return model


@pytest.mark.parametrize("function", [compiled, lambda *_: Own()])
def test_compiled_and_subclassed_models_are_accepted(function):
    """They are taken as they are, and so is a single output with a sigmoid."""
    assert built(function).output_shape == (None, 3)
    assert built(lambda *_: flat(layers.Dense(1, activation="sigmoid")), 2).output_shape == (None, 1)


def wrong_field(recipe, input_shape, outputs):
    return flat(layers.Dense(recipe.model.neurons))


def wrong_kernel(recipe, input_shape, outputs):
    images = keras.Input(input_shape)
    return keras.Model(images, layers.Conv2D(4, 20)(images))


def huge(recipe, input_shape, outputs):
    raise MemoryError


@pytest.mark.parametrize(
    ("broken", "line", "message"),
    [(wrong_field, 1, "AttributeError: .*no parameter 'neurons'"), (wrong_kernel, 2, "ValueError")],
)
def test_error_names_the_users_line(broken, line, message):
    """An error in the function, or in Keras below it, is reported with its type and line, unless memory runs out."""
    line += broken.__code__.co_firstlineno
    with pytest.raises(ModelError, match=rf"{broken.__name__}\(\) failed in {__file__}, line {line}, with {message}"):
        built(broken)
    with pytest.raises(MemoryError):
        built(huge)


def two_outputs(recipe, input_shape, outputs):
    images = keras.Input(input_shape)
    return keras.Model(images, [layers.Flatten()(images), layers.Flatten()(images)])


UNUSABLE = {
    "no model": (lambda *_: None, 3, "must return a keras.Model, got None"),
    "other outputs": (lambda *_: flat(layers.Dense(9)), 3, r"\(n, 3\), got outputs of shape \(None, 9\)"),
    "other inputs": (lambda *_: flat(keras.Input((5, 5, 2))), 3, r"accept images of shape \(8, 8, 1\)"),
    "two outputs": (two_outputs, 3, "got outputs in a list"),
    "softmax over one output": (lambda *_: flat(layers.Dense(1, activation="softmax")), 2, "always 1"),
}


@pytest.mark.parametrize(("function", "classes", "message"), UNUSABLE.values(), ids=UNUSABLE)
def test_unusable_models_are_refused(function, classes, message):
    """The function must return a model from such images to such outputs."""
    with pytest.raises(ModelError, match=message):
        built(function, classes)


def wide(units, recipe, input_shape, outputs):
    return keras.Sequential([layers.Flatten(), layers.Dense(units), layers.Dense(outputs)])


def test_partial_function_is_accepted():
    """Values may be bound beforehand; the function's name stays, and the values count in the fingerprint."""
    eight, again, nine, many = (Custom(functools.partial(wide, units), units=3) for units in (8, 8, 9, "many"))
    assert build_network(eight, None, (8, 8, 1), 3).layers[1].units == 8
    assert (repr(eight), eight.option_name) == ("Custom(wide, units=3)", "wide")
    with pytest.raises(ModelError, match=r"model: wide\(\) failed in .* with ValueError"):
        build_network(many, None, (8, 8, 1), 3)
    prints = [fingerprint(Space(data=Digits(), model=record)) for record in (eight, again, nine)]
    assert prints[0] == prints[1] != prints[2]
