"""Fits one recipe; knows nothing of studies and trials."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import keras

from spaces.space import Recipe
from spaces.training import METRICS
from studies.callbacks import BestEpoch, EpochEnd, StopOnRequest
from studies.compiling import compile_model
from studies.data import Split
from studies.data.feed import evaluation_data, steps_per_execution, training_feed
from studies.models import build_model

FINISHED, OUT_OF_PATIENCE, REFUSED, STOPPED, DIVERGED = "finished", "out of patience", "refused", "stopped", "diverged"


@dataclass(frozen=True)
class Training:
    """A trained model and how it got there.

    Args:
        model: Holds the weights of the best epoch, or of the last one when there was no validation.
        history: The metrics of each whole epoch.
        best_epoch: The best epoch, counted from 1, or None.
        best_value: Its metric; NaN when there is none.
        best_loss: Its loss on the validation images; NaN when there is none.
        ended: Why training ended: one of the constants of this module.
    """

    model: keras.Model
    history: tuple[Mapping[str, float], ...]
    best_epoch: int | None
    best_value: float
    best_loss: float
    ended: str


def train(
    recipe: Recipe,
    images: Split,
    validation: Split | None,
    *,
    classes: int,
    seed: int,
    folder: Path,
    epochs: int | None = None,
    on_epoch: Callable[[int, Mapping[str, float]], bool] = lambda epoch, metrics: True,
    stop: Callable[[], bool] = lambda: False,
) -> Training:
    """Build, compile and fit the model of a recipe.

    Args:
        recipe: What to train.
        images: The images to train on.
        validation: The images to measure the metric on after each epoch, or None to train all epochs blindly.
        classes: Number of classes.
        seed: Seed of the weights, the dropout, the augmentation and the order of images.
        folder: Where relative paths of weights start.
        epochs: Epochs to train; None for the recipe's.
        on_epoch: Called with each whole epoch, counted from 1, and its metrics; returns whether to go on.
        stop: Asked after each execution of steps whether to end at once.

    Raises:
        ModelError: The recipe cannot be built.
    """
    keras.utils.set_random_seed(seed)
    shape = images.images.shape[1:]
    model = build_model(recipe, shape, classes, folder=folder)
    feed = training_feed(images, recipe.batch_size, seed)
    compile_model(model, recipe, feed.steps, steps_per_execution(shape, recipe.batch_size, feed.steps))
    stopping = StopOnRequest(stop)
    ending = EpochEnd(on_epoch, feed.begin_epoch, stopping)
    best = BestEpoch(recipe.metric, METRICS[recipe.metric], recipe.patience, stopping)
    model.fit(
        **feed.inputs,
        epochs=epochs or recipe.epochs,
        validation_data=None if validation is None else evaluation_data(validation, recipe.batch_size),
        callbacks=[stopping, *([] if validation is None else [best]), ending],
        verbose=0,
    )
    if validation is not None and not stopping.stopped:
        best.restore()
    return Training(model, tuple(ending.history), best.epoch, best.value, best.loss, _ended(stopping, ending, best))


def _ended(stopping: StopOnRequest, ending: EpochEnd, best: BestEpoch) -> str:
    if stopping.stopped:
        return STOPPED
    if ending.diverged:
        return DIVERGED
    if ending.refused:
        return REFUSED
    return OUT_OF_PATIENCE if best.out_of_patience else FINISHED
