"""What the first network of the user's own code is checked for before the first trial."""

from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers

from spaces import Custom, CustomData, Digits, KerasTunerModel, Space
from spaces.errors import ModelError
from studies import Study
from studies.first_model import check_first_model
from studies.run import run
from studies.stopping import StopRequest
from tests.fakes import Recorder

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
        run(declared, Study(trials=1), output=tmp_path, export=False, watcher=Recorder(), stop=StopRequest())
    assert not (tmp_path / "labels" / "study.db").exists()
