"""Checks of the first network that custom code builds, before the first trial."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from spaces import Choice, Custom, CustomData, Digits, KerasTunerModel, Space
from spaces.errors import ModelError
from studies import Study
from studies.trials.first_model import check_first_model
from tests.support.fakes import run_space

SHAPE, CLASSES = (8, 8, 1), 3


def notices_of(model, export=True):
    """Return the notices about a space with this model."""
    space = Space(data=Digits(), model=model, epochs=1, batch_size=16)
    dataset = SimpleNamespace(image_shape=SHAPE, classes=tuple(map(str, range(CLASSES))))
    return check_first_model(space, dataset, export=export)


def small(*first, activation="softmax"):
    """Return a small network."""
    last = layers.Dense(CLASSES, activation=activation)
    return keras.Sequential([keras.Input(SHAPE), *first, layers.Flatten(), last])


def hyper(*first, loss="sparse_categorical_crossentropy", metrics=None, activation="softmax"):
    """Return a build function of a small compiled network."""

    def build(hp):
        model = small(*first, layers.Conv2D(2, 3), activation=activation)
        model.compile(loss=loss, metrics=metrics)
        return model

    return build


def custom(*first):
    """Return a build function for `Custom`, without an input layer."""

    def build(recipe, input_shape, outputs):
        return keras.Sequential([*first, layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(outputs)])

    return build


RESCALING = layers.Rescaling(1 / 255)
FULL_RANGE = "rescales its own input: images reach it from 0 to 255"


@pytest.mark.parametrize(
    ("model", "fragments"),
    [
        (KerasTunerModel(hyper()), []),
        (Custom(custom()), []),
        (KerasTunerModel(hyper(RESCALING)), [FULL_RANGE, "KerasTunerModel(...)"]),
        (Custom(custom(RESCALING)), [FULL_RANGE, "Custom(...)"]),
        (KerasTunerModel(hyper(RESCALING), rescale=False), []),
        (KerasTunerModel(hyper(RESCALING), rescale=True), ["rescale=True divides images by 255 before"]),
        (KerasTunerModel(hyper(), rescale=False), ["does not rescale its input, and rescale=False"]),
        (KerasTunerModel(hyper(layers.BatchNormalization()), rescale=False), []),
    ],
)
def test_rescaling_is_reported_unless_the_recipe_settles_it(model, fragments):
    """A notice says what range reaches a network that rescales, and names a network rescaled twice or never."""
    notices = notices_of(model)
    assert len(notices) == bool(fragments)
    assert all(fragment in notices[0] for fragment in fragments)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (hyper(metrics=["categorical_accuracy"]), "metric 'categorical_accuracy' needs one-hot labels"),
        (hyper(loss=None), "pass labels='integers' or labels='one-hot'"),
    ],
)
def test_unusable_labels_stop_the_run_before_the_first_trial(build, message, tmp_path):
    """A network that cannot be trained leaves no study behind."""
    images = np.random.default_rng(0).integers(0, 256, (60, *SHAPE), np.uint8)
    splits = {"train": (images, np.tile([0, 1, 2], 20))}
    space = Space(data=CustomData(lambda: splits), model=KerasTunerModel(build), epochs=1)
    with pytest.raises(ModelError, match=message):
        run_space(tmp_path, space, Study(trials=1), export=False)
    assert not (tmp_path / "tiny" / "study.db").exists()


@keras.saving.register_keras_serializable("tests")
class Scale(layers.Layer):
    """A layer that can be saved."""

    def __init__(self, factor=0.5, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, images):
        return images * self.factor

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


@keras.saving.register_keras_serializable("tests")
class Forgetful(Scale):
    """Leaves its argument out of its configuration."""

    def get_config(self):
        return {name: value for name, value in super().get_config().items() if name != "factor"}


@keras.saving.register_keras_serializable("tests")
class WithoutKwargs(Scale):
    """Accepts no name and no dtype."""

    def __init__(self, factor=0.5):
        super().__init__(factor)


class Unregistered(Scale):
    """A layer that Keras cannot find by its name."""


class Noisy(layers.Layer):
    """Answers differently each time."""

    def call(self, images):
        return images + keras.random.normal(keras.ops.shape(images))


class Subclass(keras.Model):
    """A network defined by code."""

    def __init__(self):
        super().__init__()
        self.network = small()

    def call(self, images):
        return self.network(images)


class OwnSteps(keras.Model):
    """A functional model with a custom training step."""

    def train_step(self, data):
        return super().train_step(data)


def functional(function, kind=keras.Model):
    images = keras.Input(SHAPE)
    return kind(images, layers.Dense(CLASSES, activation="softmax")(layers.Flatten()(function(images))))


def both_kinds(make):
    """Return the network as a hypermodel with a custom loss, and as a `Custom` model."""

    def build(hp):
        network = make()
        network.compile(loss=own_loss)
        return network

    return KerasTunerModel(build), Custom(lambda recipe, input_shape, outputs: make())


def own_loss(y_true, y_pred):
    return keras.losses.sparse_categorical_crossentropy(y_true, y_pred)


def own_softmax(values):
    return keras.ops.softmax(values)


BY_LAYERS = r"\(Subclass\), .*build it with keras.Model\(inputs, outputs\) or Sequential"
NOT_EXPORTABLE = {
    "lambda": (lambda: small(layers.Lambda(lambda images: images / 2)), r"\(Lambda\), .* does not load Python code"),
    "no kwargs": (lambda: small(WithoutKwargs()), r"layer 'without_kwargs.*TypeError.*accept \*\*kwargs in __init"),
    "unregistered": (lambda: small(Unregistered()), r"\(Unregistered\), .*@keras.saving.register_keras_serializable"),
    "forgetful": (lambda: small(Forgetful(0.1)), r"copy gives other outputs.*every argument from get_config\(\)"),
    "lambda activation": (lambda: small(layers.Activation(lambda x: x / 2)), r"\(Activation\), .* not lambdas"),
    "subclass": (Subclass, BY_LAYERS),
    "nested": (lambda: functional(Subclass()), BY_LAYERS),
    "custom softmax": (lambda: small(activation=own_softmax), "from code of its own.*|without a softmax at its end"),
    "random": (lambda: small(Noisy()), "answers differently each time"),
}


@pytest.mark.parametrize(("make", "message"), NOT_EXPORTABLE.values(), ids=NOT_EXPORTABLE)
def test_network_that_cannot_be_exported_is_refused(make, message):
    """The network is saved, loaded and compared before the first trial; the error names the layer and the remedy."""
    for model in both_kinds(make):
        with pytest.raises(ModelError, match=f"(?s){message}"):
            notices_of(model)


EXPORTABLE = {
    "operations": lambda: functional(lambda images: keras.ops.relu(images - 0.5)),
    "custom step": lambda: functional(lambda images: images, OwnSteps),
    "nested custom step": lambda: functional(lambda images: functional(lambda inner: inner, OwnSteps)(images)),
    "random layers": lambda: small(layers.RandomFlip(), layers.RandomRotation(0.2), layers.GaussianNoise(0.2)),
    "functions of TensorFlow": lambda: small(layers.Activation(tf.nn.swish), activation=tf.nn.softmax),
    "average": lambda: functional(lambda images: images, lambda x, y: keras.Model(x, layers.Average()([y, y]))),
}


@pytest.mark.parametrize("make", EXPORTABLE.values(), ids=EXPORTABLE)
def test_network_of_plain_keras_is_exportable(make):
    """Operations, random layers, and custom training steps, which an export does not need, pass without a notice."""
    for model in both_kinds(make):
        assert notices_of(model) == ()


def test_registered_layer_is_reported():
    """It can be exported, but must be imported before the model is loaded; nothing is refused without an export."""
    assert notices_of(both_kinds(Subclass)[1], export=False) == ()
    for model in both_kinds(lambda: small(Scale(0.1))):
        [notice] = notices_of(model)
        assert "(Scale): import it before keras.models.load_model" in notice


@pytest.mark.parametrize("name", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_dtypes_set_while_building_are_restored(name):
    """A policy holds for that network alone and is reported, since the export computes in float32."""

    def make():
        (keras.config.set_floatx if name == "float64" else keras.config.set_dtype_policy)(name)
        return small(layers.Conv2D(2, 3))

    for model in both_kinds(make):
        notices = notices_of(model)
        assert name == "float64" or f"computes in {name}; the exported model" in notices[0]
        assert (keras.config.dtype_policy().name, keras.config.floatx()) == ("float32", "float32")


def test_every_option_of_a_choice_is_checked():
    """An option that cannot be exported is found before it wins."""
    with pytest.raises(ModelError, match=r"\(Subclass\)"):
        notices_of(Choice(first=both_kinds(small)[1], second=both_kinds(Subclass)[1]))


@pytest.mark.parametrize(
    "loss", ["sparse_categorical_crossentropy", keras.losses.CategoricalFocalCrossentropy(), own_loss]
)
def test_loss_has_to_fit_the_output(loss):
    """A loss of probabilities refuses logits, which means nothing; the reverse, which learns little, is reported."""
    with pytest.raises(ModelError, match="without a softmax at its end"):
        notices_of(KerasTunerModel(hyper(activation=None, loss=loss)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    [notice] = notices_of(KerasTunerModel(hyper(loss=loss)))
    assert "the loss has from_logits=True, but the model ends in probabilities" in notice
    assert notices_of(KerasTunerModel(hyper(loss=loss, activation=None))) == ()
