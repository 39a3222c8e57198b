"""Trains `Linear` heads: solves them, scores them on one split or on folds, and keeps the best strength."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spaces.space import Recipe
from spaces.training import METRICS
from studies.data.dataset import Split
from studies.features.eligibility import is_mirrored
from studies.features.training_inputs import TrainingInputs
from studies.training.balance import class_weights
from studies.training.cross_validation import FoldData
from studies.training.logistic_regression import STRENGTHS, LinearSolution, solve
from studies.training.options import TrainingOptions
from studies.training.result import EndReason, TrainingResult
from studies.training.scores import MIN_CLASSES, SCORES, compute_scores

STRENGTH = "backbone.head.strength"
"""Name of the value that a trial chooses if the recipe leaves it open."""


@dataclass(frozen=True)
class _Judged:
    """A solution with its metrics on validation images."""

    solution: LinearSolution
    metrics: Mapping[str, float]


def train_linear(recipe: Recipe, inputs: TrainingInputs, options: TrainingOptions) -> TrainingResult:
    """Solve the head of a recipe and score it on the validation split, if there is one.

    Args:
        recipe: A recipe with a `Linear` head.
        inputs: Features of a frozen network.
        options: Only `stop` and `on_epoch` are used; the solution counts as one epoch.
    """
    if inputs.validation is None:
        strengths = _strengths(recipe)
        solution = next(_solutions(recipe, inputs, [strengths[len(strengths) // 2]]))
        metrics = _metrics("", recipe, solution, inputs.train, inputs.classes)
        options.on_epoch(1, metrics)
        return _result(recipe, inputs, solution, metrics)
    judged = _judge(recipe, inputs, options.stop)
    if judged is None:
        return _stopped(recipe, inputs)
    best = _best_index(recipe, [each.metrics for each in judged])
    metrics = _with_training(recipe, judged[best], inputs)
    options.on_epoch(1, metrics)
    return _result(recipe, inputs, judged[best].solution, metrics)


def train_linear_folds(
    recipe: Recipe, data: FoldData, options: TrainingOptions, on_fold: Callable[[int, float], Any]
) -> TrainingResult:
    """Solve the head of a recipe on each fold; the strength with the best mean over the folds is kept.

    Args:
        recipe: A recipe with a `Linear` head.
        data: Features of a frozen network, in folds.
        options: Only `stop` and `on_epoch` are used; the solutions together count as one epoch.
        on_fold: Called after all folds are solved, for each of them with the mean value so far.

    Returns:
        Means over the folds, with the head of the last one.
    """
    folds: list[tuple[TrainingInputs, list[_Judged]]] = []
    for inputs in data:
        judged = _judge(recipe, inputs, options.stop)
        if judged is None:
            return _stopped(recipe, inputs)
        folds.append((inputs, judged))
    means = [
        {name: float(np.mean([judged[index].metrics[name] for _, judged in folds])) for name in folds[0][1][0].metrics}
        for index in range(len(folds[0][1]))
    ]
    best = _best_index(recipe, means)
    options.on_epoch(1, means[best])
    values = [judged[best].metrics[recipe.metric] for _, judged in folds]
    for fold in range(1, len(folds) + 1):
        on_fold(fold, float(np.mean(values[:fold])))
    inputs, judged = folds[-1]
    return _result(recipe, inputs, judged[best].solution, means[best])


def _strengths(recipe: Recipe) -> tuple[float, ...]:
    strength = recipe.backbone.head.strength
    return STRENGTHS if strength is None else (strength,)


def _solutions(recipe: Recipe, inputs: TrainingInputs, strengths: Sequence[float]) -> Iterator[LinearSolution]:
    train = inputs.train
    weights = class_weights(train.labels) if recipe.balance else None
    return solve(np.asarray(train.images), train.labels, inputs.classes, strengths, weights, inputs.units)


def _judge(recipe: Recipe, inputs: TrainingInputs, stop: Callable[[], bool]) -> list[_Judged] | None:
    """Return the solution for each strength with its validation metrics; None if training was stopped."""
    judged, validation = [], inputs.splits[1]
    for solution in _solutions(recipe, inputs, _strengths(recipe)):
        judged.append(_Judged(solution, _metrics("val_", recipe, solution, validation, inputs.classes)))
        if stop():
            return None
    return judged


def _metrics(prefix: str, recipe: Recipe, solution: LinearSolution, split: Split, classes: int) -> dict[str, float]:
    features = np.asarray(split.images)
    if features.ndim == 3:
        features = features.mean(axis=1) if is_mirrored(recipe) else features[:, 0]
    found = solution.probabilities(features)
    scores = compute_scores(found, split.labels, [str(index) for index in range(classes)])
    values = {name: getattr(scores, name) for name in SCORES if classes >= MIN_CLASSES.get(name, 2)}
    return {f"{prefix}{name}": math.nan if value is None else value for name, value in values.items()}


def _best_index(recipe: Recipe, metrics: Sequence[Mapping[str, float]]) -> int:
    """Return the index of the best metrics; of equal values the one with the lowest loss, then the first."""
    sign = -1 if METRICS[recipe.metric] == "maximize" else 1
    ranks = [(sign * each[recipe.metric], each["val_loss"]) for each in metrics]
    return ranks.index(min(ranks))


def _with_training(recipe: Recipe, judged: _Judged, inputs: TrainingInputs) -> dict[str, float]:
    """Return the metrics of a solution on the training and on the validation images."""
    train = _metrics("", recipe, judged.solution, inputs.train, inputs.classes)
    return {"accuracy": train["accuracy"], "loss": train["loss"], **judged.metrics}


def _result(
    recipe: Recipe, inputs: TrainingInputs, solution: LinearSolution, metrics: Mapping[str, float]
) -> TrainingResult:
    model = inputs.build_model(recipe)
    model.get_layer("logits").set_weights([solution.kernel, solution.bias])
    value, loss = (metrics.get(name, math.nan) for name in (recipe.metric, "val_loss"))
    is_unknown = recipe.metric in metrics and not math.isfinite(value)
    ended = EndReason.DIVERGED if is_unknown else EndReason.FINISHED
    reason = f"{recipe.metric} is not defined on these validation images" if is_unknown else ""
    chosen = {} if recipe.backbone.head.strength is not None else {STRENGTH: solution.strength}
    return TrainingResult(model, (metrics,), 1, value, loss, ended, 1, 0, reason=reason, chosen=chosen)


def _stopped(recipe: Recipe, inputs: TrainingInputs) -> TrainingResult:
    model = inputs.build_model(recipe)
    return TrainingResult(model, (), None, math.nan, math.nan, EndReason.STOPPED, 0, 0)
