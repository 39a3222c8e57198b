"""Trains the head of a trial exactly: on the features of all images, or of fewer if there is no time for all."""

import logging
import time
from collections.abc import Callable
from typing import Any

from spaces.space import Recipe
from studies.data.dataset import Dataset, stratified_part
from studies.features.cached_features import FitsInTime, TooSlowError, always_fits
from studies.features.eligibility import is_mirrored
from studies.outcome import Costs
from studies.training.cross_validation import fold_data
from studies.training.linear_head import train_linear, train_linear_folds
from studies.training.options import TrainingOptions
from studies.training.result import TrainingResult
from studies.trials.run_context import RunContext
from studies.trials.run_time_budget import TimeBudget

MIN_IMAGES = 256
"""Images whose features are computed even if there seems to be no time: a usable head needs no more."""

logger = logging.getLogger(__name__)


def train_linear_trial(
    recipe: Recipe,
    dataset: Dataset,
    context: RunContext,
    budget: TimeBudget,
    options: TrainingOptions,
    on_fold: Callable[[int, float], Any],
) -> tuple[TrainingResult, Costs]:
    """Compute the features of a recipe's images and solve its head.

    Args:
        recipe: A recipe with a `Linear` head.
        dataset: Its images.
        context: Shared parts of the run.
        budget: Says whether there is time for the features of all images.
        options: Options of the training.
        on_fold: Called with each fold and the mean value so far, if the recipe has folds.

    Returns:
        The result, and what another training on all images would cost.
    """
    features, missing = context.features, 0
    passes = len(recipe.backbone.parts) * (2 if is_mirrored(recipe) else 1)

    def fits(seconds: float, backbone: Costs) -> bool:
        return budget.has_time_for_features(passes * seconds, backbone)

    try:
        result, seconds = _train(recipe, dataset, context, options, on_fold, fits)
    except TooSlowError:
        images = len(dataset.train) + len(dataset.validation)
        part = stratified_part(dataset, _images_that_fit(images, features.backbone_costs, fits), recipe.folds or 1)
        missing = images - len(part.train) - len(part.validation)
        logger.warning("no time for the features of all %d images: the head is solved on %d", images, images - missing)
        result, seconds = _train(recipe, part, context, options, on_fold, always_fits)
    backbone = features.backbone_costs
    start = seconds + missing * backbone.image_seconds
    return result, Costs(start, 0.0, backbone.image_seconds, backbone.layers, is_whole=False)


def _train(
    recipe: Recipe,
    dataset: Dataset,
    context: RunContext,
    options: TrainingOptions,
    on_fold: Callable[[int, float], Any],
    fits: FitsInTime,
) -> tuple[TrainingResult, float]:
    """Return the result of a training, and the seconds that it took once the features were there."""
    if recipe.folds:
        data = fold_data(recipe, dataset, context.features, recipe.folds, fits)
        started = time.monotonic()
        return train_linear_folds(recipe, data, options, on_fold), time.monotonic() - started
    inputs = context.features.for_trial(recipe, dataset, fits)
    started = time.monotonic()
    return train_linear(recipe, inputs, options), time.monotonic() - started


def _images_that_fit(images: int, backbone: Costs, fits: FitsInTime) -> int:
    """Return a number of images for whose features there is time, at least `MIN_IMAGES`."""
    while images > MIN_IMAGES and not fits(images * backbone.image_seconds, backbone):
        images //= 2
    return max(images, MIN_IMAGES)
