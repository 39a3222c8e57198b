"""Trains a recipe on images in memory, with everything else as usual."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import optuna
from keras import layers

from spaces import CNN, Constant, Digits, Space
from studies import Study
from studies.data.dataset import Dataset, Split
from studies.features.eligibility import IMAGES
from studies.features.training_inputs import TrainingInputs
from studies.models.build import build_model
from studies.stop_request import StopRequest
from studies.training.options import TrainingOptions
from studies.training.result import TrainingResult
from studies.trials.evaluate import TrialEvaluator
from studies.trials.recipe_training import train_recipe
from tests.support.fakes import Recorder, run_context, run_tiny

SMALL = Space(
    data=Digits(),
    backbone=CNN(filters=4, blocks=1),
    augment=None,
    dropout=0.1,
    learning_rate=0.01,
    batch_size=32,
    schedule=Constant(),
    epochs=3,
)
"""Trains a small network in a moment."""


def fit(
    recipe: Space,
    images: Split,
    validation: Split | None = None,
    *,
    classes: int = 2,
    seed: int = 1,
    folder: Path = Path(),
    build: Any = build_model,
    **options: Any,
) -> TrainingResult:
    """Train a recipe; `options` are those of `TrainingOptions`."""
    inputs = TrainingInputs(images, validation, build, IMAGES, classes, folder)
    return train_recipe(recipe, inputs, TrainingOptions(seed, **options))


def evaluate_trials(
    folder: Path,
    dataset: Dataset,
    space: Space,
    settings: Study,
    recorder: Recorder | None = None,
    stop: StopRequest | None = None,
) -> optuna.Study:
    """Run a study whose trials train for real, on images in memory."""
    recorder, stop = recorder or Recorder(), stop or StopRequest()
    evaluator = TrialEvaluator(run_context(recorder, stop, dataset, seed=settings.seed))
    return run_tiny(folder, settings, evaluator, space, stop, recorder)


def noisy_images(
    count: int, seed: int, *, classes: int = 2, shape: tuple[int, ...] = (8, 8, 3), noise: int = 200, contrast: int = 40
) -> Split:
    """Return noise in which each class is brighter than the one before; `noise` and `contrast` are gray levels."""
    labels = np.arange(count, dtype=np.int64) % classes
    pixels = np.random.default_rng(seed).integers(0, noise, (count, *shape))
    return Split((pixels + contrast * labels.reshape(-1, *[1] * len(shape))).astype(np.uint8), labels)


def small_network(record: object, input_shape: tuple[int, ...]) -> keras.Model:
    """Return a network in place of one of `keras.applications`."""
    images = keras.Input(input_shape)
    hidden = images
    for number in (1, 2):
        hidden = layers.Conv2D(4, 3, name=f"convolution{number}")(hidden)
        hidden = layers.BatchNormalization(name=f"norm{number}")(hidden)
        hidden = layers.Activation("relu", name=f"relu{number}")(hidden)
    return keras.Model(images, hidden, name="network")


def assert_same_weights(one: keras.Model, two: keras.Model) -> None:
    """Compare the weights of two models bit by bit."""
    for here, there in zip(one.get_weights(), two.get_weights(), strict=True):
        assert here.tobytes() == there.tobytes()
