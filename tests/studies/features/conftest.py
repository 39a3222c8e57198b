"""Fixtures: a separate cache for every test, and a small network with a weights file."""

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from studies.backend.quiet import quiet_keras
from studies.features.inputs import FeatureInputs
from tests.studies.data.conftest import cache  # noqa: F401
from tests.studies.features.tiny_backbone import RECIPE, SIDE, dataset


def save_weights(folder: Path, seed: int) -> Path:
    """Write `tiny.weights.h5`: random weights, with the statistics of some noise in its normalisations."""
    keras.utils.set_random_seed(seed)
    network = keras.applications.MobileNet(weights=None, include_top=False, alpha=0.25, input_shape=(SIDE, SIDE, 3))
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    network(np.random.default_rng(0).uniform(-1, 1, (16, SIDE, SIDE, 3)), training=True)
    with quiet_keras():
        network.save_weights(folder / "tiny.weights.h5")
    return folder


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the weights."""
    return save_weights(tmp_path_factory.mktemp("weights"), seed=7)


@pytest.fixture(scope="session")
def filled(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the features of the recipe."""
    made = tmp_path_factory.mktemp("filled")
    FeatureInputs(folder, cache=made).for_trial(RECIPE, dataset())
    return made


@pytest.fixture
def warm(filled: Path, cache: Path) -> Path:  # noqa: F811
    """This test's cache, with the features of the recipe in it."""
    shutil.copytree(filled, cache, dirs_exist_ok=True)
    return cache
