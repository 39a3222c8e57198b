"""Trains a recipe once for each fold, and averages the results."""

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias

import keras
import numpy as np

from spaces.space import Recipe
from studies.checkpoints.fold_progress import FoldCheckpoints, FoldProgress
from studies.data.dataset import Dataset, Split
from studies.data.folds import fold_numbers, select_fold
from studies.features.cached_features import FitsInTime, always_fits
from studies.features.eligibility import CACHED_VIEWS, IMAGES
from studies.features.inputs import FeatureInputs
from studies.features.training_inputs import TrainingInputs
from studies.training.options import OnEpoch
from studies.training.result import EndReason, TrainingResult

TrainFold: TypeAlias = Callable[[TrainingInputs, OnEpoch], TrainingResult]
"""Trains one fold, and calls back after each epoch."""


_NOT_STORED = ("model", "history", "unfinished_value")
"""Fields of the result of a fold that its checkpoint does not store; the epochs are stored once for all folds."""


@dataclass(frozen=True)
class FoldData:
    """Folds of a data set, as images or as features of a frozen backbone.

    Args:
        prepared: Train and validation, to train on.
        judged: Train and validation, to measure the metric on: the unchanged image if several views are trained on.
        numbers: Fold of each training and of each validation image.
        folds: Number of folds.
    """

    prepared: TrainingInputs
    judged: tuple[Split, Split]
    numbers: tuple[np.ndarray, np.ndarray]
    folds: int

    def __iter__(self) -> Iterator[TrainingInputs]:
        """Yield the training and validation inputs of each fold."""
        train, validation = self.numbers
        for fold in range(self.folds):
            rest = select_fold(*self.prepared.splits, train != fold, validation != fold)
            judged = select_fold(*self.judged, train == fold, validation == fold)
            yield replace(self.prepared, train=rest, validation=judged)


def fold_data(
    recipe: Recipe, dataset: Dataset, features: FeatureInputs, folds: int, fits: FitsInTime = always_fits
) -> FoldData:
    """Return the folds of a data set, in the form in which the recipe is trained.

    `fits` is called as by `FeatureInputs.for_trial`.

    Raises:
        ModelError: A frozen backbone cannot be built, or its weights are absent or do not fit.
    """
    prepared = features.for_trial(recipe, dataset, fits)
    judged = prepared.splits
    if prepared.trained_on == CACHED_VIEWS:
        unchanged = features.for_trial(recipe, replace(dataset, validation=dataset.train)).splits[1]
        judged = unchanged, judged[1]
        prepared = features.for_retraining(recipe, dataset)
    if prepared.trained_on == IMAGES:
        judged = prepared.splits
    return FoldData(prepared, judged, fold_numbers(dataset, folds), folds)


def train_folds(
    data: FoldData,
    train_fold: TrainFold,
    on_epoch: OnEpoch,
    on_fold: Callable[[int, float], bool],
    checkpoints: FoldCheckpoints | None = None,
    on_restored: Callable[[Sequence[Mapping[str, float]]], None] = lambda history: None,
) -> TrainingResult:
    """Train once for each fold.

    Args:
        data: The folds.
        train_fold: Trains one fold.
        on_epoch: Called after each epoch, numbered over all folds, with its metrics and its `fold`, counted from 1;
            returns True to continue.
        on_fold: Called after each fold, counted from 1, with the mean value so far; returns True to continue. Called
            again for the folds of a checkpoint.
        checkpoints: Where `train_fold` saves; whole folds in a checkpoint are not trained again.
        on_restored: Called with the metrics of the epochs in a checkpoint, before any other call.

    Returns:
        Means over the completed folds; the best epoch is rounded. If the first fold was stopped, its own result.
    """
    resumed = checkpoints.resume() if checkpoints else FoldProgress()
    history, done = [*resumed.history], [TrainingResult(model=None, history=(), **result) for result in resumed.results]
    before, model = resumed.before, None
    weights: Sequence[np.ndarray] = ()
    if history:
        on_restored(tuple(history))
    for fold, inputs in enumerate(data, start=1):
        if fold > len(done):
            if checkpoints:
                checkpoints.begin_fold(FoldProgress([_result(each) for each in done], history, before))
            trained = train_fold(inputs, _fold_reporter(history, before, fold, on_epoch))
            if trained.end_reason not in (EndReason.FINISHED, EndReason.EARLY_STOPPED) or trained.best_epoch is None:
                ended = EndReason.STOPPED if trained.end_reason == EndReason.STOPPED else EndReason.DIVERGED
                whole = _with(trained.model, weights) if done else trained.model
                return _mean(done or [trained], whole, history, ended)
            model, weights = trained.model, trained.model.get_weights() if trained.model else ()
            # The next fold needs the memory of the model.
            done.append(replace(trained, model=None))
            before = len(history)
        if not on_fold(fold, _mean_of([each.best_value for each in done[:fold]])) and fold < data.folds:
            return _mean(done[:fold], model, history, EndReason.PRUNED)
        keras.utils.clear_session(free_memory=False)
        gc.collect()
    return _mean(done, model, history, EndReason.FINISHED)


def _with(model: Any, weights: Sequence[np.ndarray]) -> Any:
    """Return the model with the weights of a completed fold; None if only its result is known."""
    if not weights:
        return None
    model.set_weights(weights)
    return model


def _fold_reporter(history: list[Mapping[str, float]], before: int, fold: int, on_epoch: OnEpoch) -> OnEpoch:
    """Return a callback that appends the epochs of a fold to the history, and reports them."""

    def add(epoch: int, metrics: Mapping[str, float]) -> bool:
        # A fold whose checkpoint does not match restarts.
        history[before + epoch - 1 :] = [{**metrics, "fold": float(fold)}]
        return on_epoch(len(history), history[-1])

    return add


def _result(fold: TrainingResult) -> dict[str, Any]:
    """Return the result of a training without its model and its history, as JSON."""
    return {each.name: getattr(fold, each.name) for each in fields(fold) if each.name not in _NOT_STORED}


def _mean(
    folds: Sequence[TrainingResult], model: Any, history: Sequence[Mapping[str, float]], ended: EndReason
) -> TrainingResult:
    epochs = [each.best_epoch for each in folds if each.best_epoch is not None]
    epoch = max(1, round(_mean_of(epochs))) if epochs else None
    return TrainingResult(
        model=model,
        history=tuple(history),
        best_epoch=epoch,
        best_value=_mean_of([each.best_value for each in folds]),
        best_loss=_mean_of([each.best_loss for each in folds]),
        end_reason=ended,
        first_phase=max(1, round(_mean_of([each.first_phase for each in folds]))),
        second_phase=round(_mean_of([each.second_phase for each in folds])),
        unfinished_value=folds[0].unfinished_value,
        reason=next((each.reason for each in folds if each.reason), ""),
        untrained=next((each.untrained for each in folds if each.untrained), ""),
    )


def _mean_of(values: Sequence[float]) -> float:
    return float(np.mean(values))
