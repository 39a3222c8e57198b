"""A network that rescales its own input is found by what reaches its first weights."""

import keras
import numpy as np
import pytest
from keras import layers

from studies.models.rescaling import is_rescaled, rescales_itself

SHAPE = (32, 32, 3)


class DividesAndConvolves(layers.Layer):
    """Rescales in its call, before a layer of its own."""

    def __init__(self):
        super().__init__()
        self.convolution = layers.Conv2D(2, 3)

    def call(self, images):
        return self.convolution(images / 255.0)


def sequential(*first, dtype="float32"):
    images = keras.Input(SHAPE, dtype=dtype)
    return keras.Sequential([images, *first, layers.Conv2D(2, 3), layers.GlobalAveragePooling2D(), layers.Dense(3)])


def functional(function):
    images = keras.Input(SHAPE)
    maps = layers.Conv2D(2, 3, padding="same")(function(images))
    return keras.Model(images, layers.Dense(3)(layers.GlobalAveragePooling2D()(maps)))


def application(name, **more):
    return functional(getattr(keras.applications, name)(include_top=False, weights=None, input_shape=SHAPE, **more))


def adapted(largest):
    layer = layers.Normalization()
    layer.adapt(np.random.default_rng(0).uniform(0, largest, (20, *SHAPE)).astype(np.float32))
    return layer


def inner(*first):
    return keras.Sequential([layers.RandomFlip(), keras.Sequential(list(first))])


OF_RAW_PIXELS = {
    "rescaling": lambda: sequential(layers.Rescaling(1 / 255)),
    "around zero": lambda: sequential(layers.Rescaling(1 / 127.5, offset=-1)),
    "after augmentation": lambda: sequential(layers.RandomFlip(), layers.Rescaling(1 / 255)),
    "adapted": lambda: sequential(adapted(255)),
    "given mean": lambda: sequential(layers.Normalization(mean=[123.0] * 3, variance=[3364.0] * 3)),
    "centred": lambda: sequential(layers.Rescaling(1.0, offset=-127.5)),
    "lambda": lambda: sequential(layers.Lambda(lambda images: images / 255)),
    "own layer with weights": lambda: sequential(DividesAndConvolves()),
    "operation": lambda: functional(lambda images: images / 255.0),
    "nested": lambda: functional(inner(layers.Rescaling(1 / 255))),
    "integer input": lambda: sequential(layers.Rescaling(1 / 255), dtype="uint8"),
    "preprocess_input of MobileNetV2": lambda: functional(keras.applications.mobilenet_v2.preprocess_input),
    "preprocess_input of ResNet50": lambda: functional(keras.applications.resnet50.preprocess_input),
    "preprocess_input of DenseNet": lambda: functional(keras.applications.densenet.preprocess_input),
    "MobileNetV3Small": lambda: application("MobileNetV3Small"),
    "EfficientNetB0": lambda: application("EfficientNetB0"),
}

OF_UNIT_PIXELS = {
    "plain": lambda: sequential(),
    "dense": lambda: keras.Sequential([keras.Input(SHAPE), layers.Flatten(), layers.Dense(3)]),
    "batch normalization": lambda: sequential(layers.BatchNormalization()),
    "resized": lambda: sequential(layers.Resizing(40, 40)),
    "from 0 to 1 around zero": lambda: sequential(layers.Rescaling(2.0, offset=-1)),
    "adapted to 0 to 1": lambda: sequential(adapted(1)),
    "back to 255": lambda: functional(lambda images: layers.Rescaling(1 / 255)(layers.Rescaling(255)(images))),
    "without preprocessing": lambda: application("MobileNetV3Small", include_preprocessing=False),
}


CASES = [*((make, True) for make in OF_RAW_PIXELS.values()), *((make, False) for make in OF_UNIT_PIXELS.values())]


@pytest.mark.parametrize(("make", "expected"), CASES, ids=[*OF_RAW_PIXELS, *OF_UNIT_PIXELS])
def test_rescaling_networks_are_recognised(make, expected):
    """A network expects pixels from 0 to 255 if anything rescales them, not if layers shift pixels from 0 to 1."""
    assert rescales_itself("build()", make(), SHAPE) is expected


def test_layers_that_ignore_the_image_are_skipped():
    """A layer that does not see the image says nothing about its pixels."""

    class Positions(layers.Layer):
        def __init__(self):
            super().__init__()
            self.embedding, self.dense = layers.Embedding(32, 3), layers.Dense(3)

        def call(self, images):
            return self.dense(images) + self.embedding(keras.ops.arange(32))

    assert not rescales_itself("build()", sequential(Positions()), SHAPE)
    assert rescales_itself("build()", sequential(layers.Rescaling(1 / 255), Positions()), SHAPE)


@pytest.mark.parametrize(("rescale", "expected"), [(None, False), (True, True), (False, False)])
def test_record_overrides_the_test_which_changes_nothing(rescale, expected):
    """`rescale=True` and `rescale=False` override the test, and the network gives the same outputs afterwards."""
    network = sequential(layers.Rescaling(1 / 255))
    images = np.random.default_rng(0).uniform(0, 255, (2, *SHAPE)).astype(np.float32)
    before = np.asarray(network(images))
    assert is_rescaled("build()", network, rescale, SHAPE) is expected
    np.testing.assert_array_equal(network(images), before)
