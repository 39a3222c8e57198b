"""Trains a recipe once for each fold, and takes the means."""

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
from studies.features.eligibility import CACHED_VIEWS, IMAGES
from studies.features.inputs import FeatureInputs, TrainingInputs
from studies.training.options import OnEpoch
from studies.training.result import EndReason, TrainingResult

TrainFold: TypeAlias = Callable[[TrainingInputs, OnEpoch], TrainingResult]
"""Trains one fold, and calls back after each epoch."""


_NOT_KEPT = ("model", "history", "unfinished_value")
"""Of a fold that is done; its epochs are kept beside it."""


@dataclass(frozen=True)
class FoldData:
    """What the folds are made of: images, or the features of a frozen backbone.

    Args:
        prepared: Train and validation, to train on.
        judged: The same to judge by: where several changed views of an image are trained on, the unchanged one.
        numbers: The fold of each training and of each validation image.
        folds: How many there are.
    """

    prepared: TrainingInputs
    judged: tuple[Split, Split]
    numbers: tuple[np.ndarray, np.ndarray]
    folds: int

    def __iter__(self) -> Iterator[TrainingInputs]:
        """Yield what each fold is trained and judged on."""
        train, validation = self.numbers
        for fold in range(self.folds):
            rest = select_fold(*self.prepared.splits, train != fold, validation != fold)
            judged = select_fold(*self.judged, train == fold, validation == fold)
            yield replace(self.prepared, train=rest, validation=judged)


def fold_data(recipe: Recipe, dataset: Dataset, features: FeatureInputs, folds: int) -> FoldData:
    """The folds of a data set, in the form in which this recipe is trained.

    Raises:
        ModelError: A frozen backbone cannot be built, or its weights are absent or do not fit.
    """
    prepared = features.for_trial(recipe, dataset)
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
        train_fold: Trains one.
        on_epoch: Called after each epoch, counted on from fold to fold, with its metrics and the `fold` from 1.
        on_fold: Called after each fold, counted from 1, with the mean value so far; returns whether to go on. Folds
            that a checkpoint holds are told once more.
        checkpoints: Those that `train_fold` saves to: their results of whole folds are not trained again.
        on_restored: Called with the metrics of the epochs that a checkpoint holds, before any other call.

    Returns:
        The means over the folds that were trained to their end: the best epoch is rounded. One whose first fold was
        stopped is that fold's.
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
            trained = train_fold(inputs, _kept(history, before, fold, on_epoch))
            if trained.end_reason not in (EndReason.FINISHED, EndReason.EARLY_STOPPED) or trained.best_epoch is None:
                ended = EndReason.STOPPED if trained.end_reason == EndReason.STOPPED else EndReason.DIVERGED
                whole = _with(trained.model, weights) if done else trained.model
                return _mean(done or [trained], whole, history, ended)
            model, weights = trained.model, trained.model.get_weights() if trained.model else ()
            # Its model is not needed any more, and the next fold needs the memory.
            done.append(replace(trained, model=None))
            before = len(history)
        if not on_fold(fold, _mean_of([each.best_value for each in done[:fold]])) and fold < data.folds:
            return _mean(done[:fold], model, history, EndReason.PRUNED)
        keras.utils.clear_session(free_memory=False)
        gc.collect()
    return _mean(done, model, history, EndReason.FINISHED)


def _with(model: Any, weights: Sequence[np.ndarray]) -> Any:
    """The model with the weights of a fold that is done; None where only its results are known."""
    if not weights:
        return None
    model.set_weights(weights)
    return model


def _kept(history: list[Mapping[str, float]], before: int, fold: int, on_epoch: OnEpoch) -> OnEpoch:
    """What keeps the epochs of a fold, which begins after so many, and hands them on."""

    def keep(epoch: int, metrics: Mapping[str, float]) -> bool:
        # A fold whose checkpoint does not fit begins again.
        history[before + epoch - 1 :] = [{**metrics, "fold": float(fold)}]
        return on_epoch(len(history), history[-1])

    return keep


def _result(fold: TrainingResult) -> dict[str, Any]:
    """What a training came to, without its model and its history; JSON."""
    return {each.name: getattr(fold, each.name) for each in fields(fold) if each.name not in _NOT_KEPT}


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
