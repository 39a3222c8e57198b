"""What the first network of the user's own code is checked for before the first trial."""

from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from spaces import Choice, Custom, CustomData, Digits, KerasTunerModel, Space
from spaces.errors import ModelError
from studies import Study
from studies.run import run
from studies.stop_request import StopRequest
from studies.trials.first_model import check_first_model
from tests.support.fakes import Recorder

SHAPE, CLASSES = (8, 8, 1), 3


def notices_of(model, classes=CLASSES, **fields):
    """What is told of a space with this model."""
    space = Space(data=Digits(), model=model, epochs=1, batch_size=16, **fields)
    dataset = SimpleNamespace(image_shape=SHAPE, classes=tuple(map(str, range(classes))))
    return check_first_model(space, dataset)


def hyper(*first, outputs=CLASSES, loss="sparse_categorical_crossentropy", metrics=None, activation="softmax"):
    """A build function of a small compiled network."""

    def build(hp):
        last = layers.Dense(outputs, activation=activation)
        model = keras.Sequential([keras.Input(SHAPE), *first, layers.Conv2D(2, 3), layers.Flatten(), last])
        model.compile(loss=loss, metrics=metrics)
        return model

    return build


def custom(*first):
    """A build function of `Custom`, without an input layer."""

    def build(recipe, input_shape, outputs):
        return keras.Sequential([*first, layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(outputs)])

    return build


def test_an_ordinary_network_is_no_news():
    """Nothing is said of a network that is fed as documented."""
    assert notices_of(KerasTunerModel(hyper())) == ()
    assert notices_of(Custom(custom())) == ()


@pytest.mark.parametrize(
    "model", [KerasTunerModel(hyper(layers.Rescaling(1 / 255))), Custom(custom(layers.Rescaling(1 / 255)))]
)
def test_a_network_that_rescales_is_reported(model):
    """The notice says what the network gets, and how to change it."""
    [notice] = notices_of(model)
    assert "build() rescales its own input: images reach it from 0 to 255." in notice
    assert f"pass rescale=True to {type(model).__name__}(...)" in notice


def test_a_contradiction_is_reported():
    """What the user decides counts, but a model that is rescaled twice or never is pointed out."""
    rescaling = hyper(layers.Rescaling(1 / 255))
    assert notices_of(KerasTunerModel(rescaling, rescale=False)) == ()
    [twice] = notices_of(KerasTunerModel(rescaling, rescale=True))
    assert "and rescale=True divides images by 255 before" in twice
    [never] = notices_of(KerasTunerModel(hyper(), rescale=False))
    assert "does not rescale its input, and rescale=False passes pixels from 0 to 255" in never
    assert notices_of(KerasTunerModel(hyper(layers.BatchNormalization()), rescale=False)) == ()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (hyper(metrics=["categorical_accuracy"]), "metric 'categorical_accuracy' needs one-hot labels"),
        (hyper(loss=None), "pass labels='integers' or labels='one-hot'"),
    ],
)
def test_labels_that_do_not_fit_end_the_run_before_its_first_trial(build, message, tmp_path):
    """Nothing is stored of a study whose network cannot be trained."""
    images = np.random.default_rng(0).integers(0, 256, (60, *SHAPE), np.uint8)
    splits = {"train": (images, np.tile([0, 1, 2], 20))}
    space = Space(data=CustomData(lambda: splits), model=KerasTunerModel(build), epochs=1)
    declared = SimpleNamespace(name="labels", space=space, folder=Path())
    with pytest.raises(ModelError, match=message):
        run(declared, Study(trials=1), output=tmp_path, export=False, listener=Recorder(), stop=StopRequest())
    assert not (tmp_path / "labels" / "study.db").exists()


@keras.saving.register_keras_serializable("tests")
class Scale(layers.Layer):
    """A layer that can be saved, unless it is made wrongly."""

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
    """Takes no name and no type of numbers."""

    def __init__(self, factor=0.5):
        super().__init__(factor)


class Unregistered(Scale):
    """Keras does not know where to find it."""


class Subclass(keras.Model):
    """A network that is code."""

    def __init__(self):
        super().__init__()
        self.flatten, self.last = layers.Flatten(), layers.Dense(CLASSES, activation="softmax")

    def call(self, images):
        return self.last(self.flatten(images))


class OwnSteps(keras.Model):
    """A functional model with a training step of its own."""

    def train_step(self, data):
        return super().train_step(data)


def own_softmax(values):
    return keras.ops.softmax(values)


def small(*first, activation="softmax"):
    last = layers.Dense(CLASSES, activation=activation)
    return keras.Sequential([keras.Input(SHAPE), *first, layers.Flatten(), last])


def functional(function, kind=keras.Model):
    images = keras.Input(SHAPE)
    return kind(images, layers.Dense(CLASSES, activation="softmax")(layers.Flatten()(function(images))))


def averaged(images, probabilities):
    return keras.Model(images, layers.Average()([probabilities, probabilities]))


def both_kinds(make, **more):
    """The network as a hypermodel's, compiled with a loss of the user's own, and as that of a `Custom` function."""

    def own_loss(y_true, y_pred):
        return keras.losses.sparse_categorical_crossentropy(y_true, y_pred)

    def build(hp):
        network = make()
        network.compile(loss=own_loss)
        return network

    def custom_build(recipe, input_shape, outputs):
        return make()

    return KerasTunerModel(build, **more), Custom(custom_build, **more)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: small(layers.Lambda(lambda images: images / 2)), r"\(Lambda\), .* does not load Python code"),
        (
            lambda: small(WithoutKwargs()),
            r"layer 'without_kwargs.*\(WithoutKwargs\), .*TypeError.*accept \*\*kwargs in __init",
        ),
        (
            lambda: small(Unregistered()),
            r"\(Unregistered\), .*decorated with @keras.saving.register_keras_serializable",
        ),
        (lambda: small(Forgetful(0.1)), r"copy gives other outputs.*return every argument from get_config\(\)"),
        (lambda: small(layers.Activation(lambda values: values / 2)), r"\(Activation\), .* not lambdas"),
        (Subclass, r"\(Subclass\), .*build it with keras.Model\(inputs, outputs\) or Sequential"),
        (
            lambda: functional(Subclass()),
            r"\(Subclass\), .*build it with keras.Model\(inputs, outputs\) or Sequential",
        ),
        (lambda: small(activation=own_softmax), "probabilities from code of its own.*|without a softmax at its end"),
    ],
    ids=["lambda", "no kwargs", "unregistered", "forgetful", "lambda activation", "subclass", "nested", "own softmax"],
)
def test_a_network_that_cannot_be_exported_is_refused(make, message):
    """The first built network is saved, loaded and compared, and the message names the layer and the remedy."""
    for model in both_kinds(make):
        with pytest.raises(ModelError, match=f"(?s){message}"):
            notices_of(model)


def test_nothing_is_refused_that_is_not_exported():
    """Without an export a network need not be saved."""
    space = Space(data=Digits(), model=both_kinds(Subclass)[1], epochs=1, batch_size=16)
    dataset = SimpleNamespace(image_shape=SHAPE, classes=("a", "b", "c"))
    assert check_first_model(space, dataset, export=False) == ()


@pytest.mark.parametrize(
    "make",
    [
        lambda: functional(lambda images: keras.ops.relu(images - 0.5)),
        lambda: functional(lambda images: images, OwnSteps),
        lambda: functional(lambda images: functional(lambda inner: inner, OwnSteps)(images)),
        lambda: small(layers.RandomFlip(), layers.RandomRotation(0.2), layers.GaussianNoise(0.2)),
        lambda: small(layers.Activation(tf.nn.swish), activation=tf.nn.softmax),
        lambda: functional(lambda images: images, averaged),
    ],
    ids=["operations", "own steps", "nested own steps", "random layers", "functions of TensorFlow", "average"],
)
def test_what_plain_keras_can_hold_is_exported(make):
    """Operations, training steps of the user's own, which an export needs nothing of, and random layers."""
    for model in both_kinds(make):
        assert notices_of(model) == ()


def test_a_registered_layer_is_reported():
    """It can be exported, but whoever loads the model must import it."""
    for model in both_kinds(lambda: small(Scale(0.1))):
        [notice] = notices_of(model)
        assert "code of your own (Scale): import it before keras.models.load_model" in notice


def in_policy(policy):
    keras.config.set_dtype_policy(policy)
    return small(layers.Conv2D(2, 3))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_a_policy_set_while_building_changes_nothing_else(policy):
    """The network computes in it, its export in float32, and later networks are not touched."""
    for model in both_kinds(lambda: in_policy(policy)):
        [notice] = notices_of(model)
        assert f"computes in {policy}; the exported model has the same weights and computes in float32" in notice
        assert keras.config.dtype_policy().name == "float32"


def test_the_type_of_numbers_is_restored():
    """`set_floatx` in a build function changes that network alone."""

    def make():
        keras.config.set_floatx("float64")
        return small()

    for model in both_kinds(make):
        notices_of(model)
        assert keras.config.floatx() == "float32"


def test_answers_that_change_are_refused():
    """A network that is random in inference cannot be compared with its export."""

    class Noisy(layers.Layer):
        def call(self, images):
            return images + keras.random.normal(keras.ops.shape(images))

    with pytest.raises(ModelError, match="answers differently each time"):
        notices_of(both_kinds(lambda: small(Noisy()))[0])


def test_every_function_of_a_choice_is_tried():
    """An option that cannot be exported is found before it wins."""
    good, bad = both_kinds(small)[1], both_kinds(Subclass)[1]
    with pytest.raises(ModelError, match=r"\(Subclass\)"):
        notices_of(Choice(good, Custom(named(bad.build))))


def named(function):
    """The same function under a name of its own, as options of a `Choice` need."""

    def other(recipe, input_shape, outputs):
        return function(recipe, input_shape, outputs)

    return other


@pytest.mark.parametrize(
    ("activation", "loss", "message"),
    [
        (None, "sparse_categorical_crossentropy", "without a softmax at its end, but its loss takes probabilities"),
        (None, keras.losses.CategoricalFocalCrossentropy(), "without a softmax at its end"),
        (None, lambda y_true, y_pred: keras.losses.categorical_crossentropy(y_true, y_pred), "without a softmax"),
    ],
)
def test_a_loss_that_takes_probabilities_needs_them(activation, loss, message):
    """Logits under such a loss train nothing that means anything."""
    with pytest.raises(ModelError, match=message):
        notices_of(KerasTunerModel(hyper(activation=activation, loss=loss)))


def test_probabilities_under_a_loss_of_logits_are_reported():
    """It trains, but hardly."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    [notice] = notices_of(KerasTunerModel(hyper(loss=loss)))
    assert "the loss has from_logits=True, but the model ends in probabilities" in notice
    assert notices_of(KerasTunerModel(hyper(loss=loss, activation=None))) == ()
