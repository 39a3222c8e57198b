"""The built-in spaces: each baseline is the model of its tutorial, and each runs up to a prediction."""

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import pytest
from keras import layers

from spaces import Adam, Augment, Choice, Constant, ImageFolder, KerasDataset, KerasTunerModel, Pretrained
from spaces.loading import EXAMPLES, built_in, load
from spaces.space import baseline, flatten, resolve
from studies import Study
from studies.export.exported_model import load_export, predict
from studies.models.build import build_inference_model
from studies.run import run
from studies.stop_request import StopRequest
from tests.support.fakes import Recorder
from tests.support.fitting import small_network
from tests.support.images import write_classes, write_image

SHOWN = (
    *(layers.Conv2D, layers.MaxPooling2D, layers.Concatenate, layers.Flatten, layers.GlobalAveragePooling2D),
    *(layers.Dense, layers.Dropout, layers.BatchNormalization, keras.Model),
)
SLOW = set(built_in()) - {"digits", "small_cnn"}
RUNS = [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in built_in()]


def convolution(filters: int, kernel: int, **more: Any) -> list[Any]:
    return [layers.Conv2D(filters, kernel, activation="relu", **more), layers.MaxPooling2D(2)]


def dense(units: int, classes: int) -> list[Any]:
    return [layers.Dense(units, activation="relu"), layers.Dense(classes, activation="softmax")]


def sequential(size: int, *parts: Any) -> keras.Model:
    return keras.Sequential([layers.Input((size, size, 3)), *parts])


def cifar10() -> keras.Model:
    return sequential(32, *convolution(32, 3), layers.Flatten(), *dense(64, 10))


def transfer() -> keras.Model:
    backbone = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(224, 224, 3))
    backbone.trainable = False
    return sequential(224, backbone, layers.GlobalAveragePooling2D(), *dense(1024, 5))


def small_cnn() -> keras.Model:
    return sequential(64, *convolution(32, 3), *convolution(64, 3), layers.Flatten(), *dense(64, 5))


def two_branches() -> keras.Model:
    image = layers.Input((64, 64, 3))
    pairs = convolution(32, 3, padding="same"), convolution(64, 5, padding="same")
    both = layers.Flatten()(layers.concatenate([pooling(filtering(image)) for filtering, pooling in pairs]))
    hidden, output = dense(128, 5)
    return keras.Model(image, output(hidden(both)))


def chest_xray() -> keras.Model:
    blocks = [[*convolution(filters, 5, padding="same"), layers.Dropout(0.2)] for filters in (32, 64)]
    hidden, output = layers.Dense(256, activation="relu"), layers.Dense(1, activation="sigmoid")
    return sequential(200, *blocks[0], *blocks[1], layers.Flatten(), hidden, layers.Dropout(0.2), output)


TUTORIALS = [
    (cifar10, 10, (None, 128, 10)),
    (transfer, 5, (Augment(flip="horizontal", rotation=20 / 360, translation=0.2), 32, 10)),
    (small_cnn, 5, (None, 32, 10)),
    (two_branches, 5, (None, 32, 10)),
    (chest_xray, 2, (Augment(flip="horizontal", zoom=0.2), 32, 30)),
]


def drawn(model: keras.Model) -> list[tuple[Any, ...]]:
    """Describe a model layer by layer: type, shape, parameters and activation."""
    found: list[tuple[Any, ...]] = []
    for layer in model.layers:
        rate = getattr(layer, "rate", None)
        if isinstance(layer, SHOWN) and rate != 0:
            trainable = sum(weight.shape.num_elements() for weight in layer.trainable_weights)
            found.append((type(layer).__name__, layer.output.shape, layer.count_params(), trainable, rate))
        activation = getattr(getattr(layer, "activation", None), "__name__", "linear")
        if activation != "linear":
            found.append((activation,))
    return sorted(found, key=str) if any(isinstance(layer, layers.Concatenate) for layer in model.layers) else found


def without_weights(value: Any) -> Any:
    """Return the networks of a space with random weights, which need no file."""
    if isinstance(value, Choice):
        return value.with_mapped_options(without_weights)
    return replace(value, weights=None) if isinstance(value, Pretrained) else value


@pytest.mark.parametrize("name", built_in())
def test_built_in_spaces_load_and_name_their_command(name):
    """The docstring starts with the command and a description, and the space has parameters."""
    lines = ast.get_docstring(ast.parse((EXAMPLES / f"{name}.py").read_text())).splitlines()
    assert lines[0] == f"search run {name}"
    assert lines[1] == ""
    assert lines[2].endswith((".", ":"))
    space = load(name).space
    assert len(flatten(space)) >= 3 or isinstance(space.model, KerasTunerModel)


@pytest.mark.parametrize(("tutorial", "classes", "settings"), TUTORIALS)
def test_baselines_are_the_models_of_tutorials(tutorial, classes, settings):
    """An improvement over the baseline is one over what beginners write."""
    space = load(tutorial.__name__).space
    recipe = resolve(space, baseline(space))
    expected = tutorial()
    recipe = replace(recipe, backbone=without_weights(recipe.backbone))
    found = build_inference_model(recipe, expected.input_shape[1:], classes)
    assert drawn(found) == drawn(expected)
    assert found.count_params() == expected.count_params()
    assert (recipe.augment, recipe.batch_size, recipe.epochs) == settings
    assert (recipe.optimizer, recipe.learning_rate, recipe.schedule) == (Adam(), 1e-3, Constant())
    assert (recipe.fine_tune, recipe.balance, recipe.precision) == (None, None, "float32")


def test_data_are_those_of_tutorials():
    """Image sizes, colours and fractions are the same."""
    assert load("cifar10").space.data == KerasDataset("cifar10")
    assert load("chest_xray").space.data == ImageFolder("chest_xray", image_size=200, channels=3, validation=0.2)
    assert [load(name).space.data.image_size for name in ("transfer", "small_cnn", "two_branches")] == [224, 64, 64]
    assert resolve(load("chest_xray").space, baseline(load("chest_xray").space)).patience == 20


def photos(name: str, folder: Path, size: int) -> tuple[str | None, Path, set[str]]:
    """Write tiny images for an example; returns their folder, an image to predict, and the classes."""
    if name == "from_keras_tuner":
        return None, write_image(folder / "digit.png", height=8, width=8, mode="L"), set("0123456789")
    if name == "chest_xray":
        for part, seed in {"train": 0, "test": 1}.items():
            counts = {"COVID19": 12, "NORMAL": 12}
            write_classes(folder / part, counts, height=size, width=size, extension=".jpg", seed=seed)
        return str(folder), folder / "test" / "NORMAL" / "NORMAL_0000.jpg", {"COVID19", "NORMAL"}
    write_classes(folder, {"cat": 15, "dog": 15}, height=size, width=size)
    return str(folder), folder / "dog" / "dog_0000.png", {"cat", "dog"}


@pytest.mark.parametrize("name", RUNS)
def test_examples_run_up_to_a_prediction(name, tmp_path, monkeypatch):
    """Two short trials on tiny images; the best is retrained, tested, exported, and predicts an image."""
    monkeypatch.setenv("SEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("studies.models.pretrained.make_network", small_network)
    size = 80 if name == "transfer" else 32
    folder, image, classes = photos(name, tmp_path / "photos", size)
    loaded = load(name, folder)
    changes = {"epochs": 1, "batch_size": 8, "backbone": without_weights(loaded.space.backbone)}
    if isinstance(loaded.space.data, ImageFolder):
        changes["data"] = replace(loaded.space.data, image_size=size)
    small = replace(loaded, space=replace(loaded.space, **changes))
    settings = Study(trials=2, pruner="none", sampler="random")
    result = run(small, settings, output=tmp_path / "runs", export=True, listener=Recorder(), stop=StopRequest())
    assert (result.progress.complete, result.progress.failed) == (2, 0)
    assert result.progress.baseline is not None
    assert {"model.keras", "curves.png", "samples.png"} <= {path.name for path in result.export.iterdir()}
    exported = load_export(result.export)
    (prediction,) = predict(exported, [image])
    assert set(exported.labels) == classes
    assert prediction.label in classes
    assert prediction.probability >= 1 / len(classes)
