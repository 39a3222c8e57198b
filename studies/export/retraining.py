"""Retrains the best recipe on all images except the test split, tests it once and exports it."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from spaces.canonical import to_json
from spaces.errors import ModelError
from spaces.space import Recipe
from studies.checkpoints.best_weights import PATH, params_fingerprint, saved_weights
from studies.checkpoints.study_checkpoints import StudyCheckpoints, TrialCheckpoints
from studies.data.dataset import Dataset
from studies.events import EpochEnded, RetrainingStarted
from studies.export.export_folder import STUDY_ID, Publish, publish_at_once
from studies.export.plots.curves import Curve, mean_over_folds
from studies.export.plots.drawing import draw_plots
from studies.export.search_summary import SearchSummary
from studies.export.trial_weights import build_with_weights
from studies.export.writer import export_model
from studies.features.eligibility import IMAGES
from studies.features.inputs import spaced_rows
from studies.features.training_inputs import TrainingInputs, image_inputs
from studies.models.layers import all_layers
from studies.training.feed import evaluation_data
from studies.training.options import TrainingOptions
from studies.training.result import EndReason, TrainingResult
from studies.training.scores import class_probabilities, compute_scores
from studies.trials.recipe_training import inference_model_of, train_recipe
from studies.trials.run_context import RunContext

RETRAINING, TRIAL = "retraining", "trial"
"""Origin of the weights of an export."""

MAX_RETRAIN_ATTEMPTS = 3
"""Attempts of a retraining that diverges, each with another seed."""

COOLDOWN = 0.3
"""Fraction of the retraining in which the learning rate falls to zero. A trial keeps its best epoch, but without
validation images the retraining must use its last weights, which are noisy at a constant rate."""


@dataclass(frozen=True)
class FinalModel:
    """Trained model to export.

    Args:
        model: The network, or its head if it was trained on features.
        inputs: The training inputs.
        weights: Origin of the weights, for `metrics.json`.
    """

    model: keras.Model
    inputs: TrainingInputs
    weights: Mapping[str, Any]


def retrain_and_export(
    summary: SearchSummary,
    dataset: Dataset,
    context: RunContext,
    *,
    best_folder: Path,
    publish: Publish = publish_at_once,
    retrains: bool = True,
    has_time: Callable[[int], bool] = lambda layers: True,
) -> dict[str, Any] | None:
    """Retrain, test and export the best recipe; without time to retrain, use the weights of its trial.

    Args:
        context: Shared parts of the run. The retraining is saved in its checkpoints under the best trial's number,
            and resumes from there.
        best_folder: Target folder; an earlier export is replaced when the new one is complete.
        publish: Moves the export into place while this worker holds the export lock.
        retrains: Whether there is time to retrain.
        has_time: Returns True if there is time to write a model with this number of layers in a second format.

    Returns:
        The content of `metrics.json`, or None if the export was stopped.

    Raises:
        ExportLockLostError: Another worker has claimed the export.
    """
    started = time.monotonic()
    features, checkpoints, listener = context.features, context.checkpoints, context.listener
    final = FinalTraining(summary, dataset, context).final(retrains)
    if final is None:
        return None
    retrained = time.monotonic()
    listener.on_exporting(summary.best.number if final.weights["from"] == TRIAL else None)
    shape = dataset.image_shape
    full = features.full_model(summary.recipe, final.inputs, final.model, dataset)
    model = inference_model_of(summary.recipe, full, shape, len(dataset.classes))
    compared = features.verify_full_model(summary.recipe, final.inputs, final.model, model, dataset)
    probabilities = model.predict(evaluation_data(dataset.test, summary.recipe.batch_size), verbose=0)
    scores = compute_scores(probabilities, dataset.test.labels, dataset.classes)

    def metrics(exports: Any) -> dict[str, Any]:
        seconds = {
            "search": summary.search_seconds,
            "retrain": retrained - started if final.weights["from"] == RETRAINING else 0.0,
            "export": time.monotonic() - retrained,
        }
        rounded = {name: round(value, 3) for name, value in seconds.items()}
        tested = {"weights": final.weights, "test": scores.to_json(), "features": compared}
        return {**search_metrics(summary), **tested, "exports": exports, "seconds": rounded}

    exported = export_model(
        model,
        best_folder,
        labels=dataset.classes,
        image_shape=shape,
        resize=dataset.resize,
        recipe_json=to_json(summary.recipe),
        metrics=metrics,
        samples=np.asarray(dataset.test.images[spaced_rows(len(dataset.test))]),
        draw=lambda new: draw_plots(new, summary.metric, _curves(summary), dataset, class_probabilities(probabilities)),
        study=summary.identity,
        publish=publish,
        has_time=lambda: has_time(sum(1 for _ in all_layers(model))),
    )
    if checkpoints and final.weights["from"] == RETRAINING:
        checkpoints.for_trial(summary.best.number).clear()
        checkpoints.best_weights.delete_except([])
    return exported


@dataclass(frozen=True)
class FinalTraining:
    """Training of the final model, with the arguments of `retrain_and_export`."""

    summary: SearchSummary
    dataset: Dataset
    context: RunContext

    def final(self, retrains: bool) -> FinalModel | None:
        """Return the retrained model, or the trial's own if there is no time; None if interrupted."""
        retrained = self._retrain_best() if retrains else None
        if retrained is not None and retrained.weights["complete"]:
            return retrained
        if self.context.stop.requested:
            return None
        # Without the trial's weights, a short retraining is better than no model.
        return self.from_trial() or retrained or self._retrain_best()

    def _retrain_best(self) -> FinalModel | None:
        inputs = _prepare_inputs(self.context, self.summary.recipe, self.dataset)
        if inputs is None:
            return None
        trained = _retrain(self.summary, inputs, self.context)
        weights = {
            "from": RETRAINING,
            "trial": self.summary.best.number,
            "epochs": len(trained.history),
            "complete": trained.end_reason != EndReason.STOPPED,
        }
        return FinalModel(trained.model, inputs, weights)

    def from_trial(self) -> FinalModel | None:
        """Return the best trial's model with the weights of its best epoch; None if they were not saved."""
        best, recipe = self.summary.best, self.summary.recipe
        checkpoints, features = self.context.checkpoints, self.context.features
        saved = checkpoints.best_weights.load(best.number, params_fingerprint(best.params)) if checkpoints else None
        if saved is None:
            return None
        if saved.state.get(PATH) == IMAGES:
            inputs = image_inputs(self.dataset, self.context.folder)
        else:
            inputs = features.for_weights(recipe, self.dataset)
        model = build_with_weights(saved_weights(saved), recipe, inputs)
        if model is None:
            return None
        weights = {"from": TRIAL, "trial": best.number, "epoch": best.epoch, "complete": best.epoch > 0}
        return FinalModel(model, inputs, weights)


def _curves(summary: SearchSummary) -> tuple[Curve, Curve]:
    """Return the learning curves of the best trial and the baseline."""

    def curve(number: int, epoch: int | None) -> Curve:
        return Curve(number, epoch, mean_over_folds(summary.epochs.get(number, ())))

    return curve(summary.best.number, summary.best.epoch or None), curve(0, None)


def _prepare_inputs(context: RunContext, recipe: Recipe, dataset: Dataset) -> TrainingInputs | None:
    """Return the training inputs; None if a signal stopped their preparation."""
    try:
        return context.features.for_retraining(recipe, dataset)
    except KeyboardInterrupt:
        if context.stop():
            return None
        raise


def _retrain(summary: SearchSummary, prepared: TrainingInputs, context: RunContext) -> TrainingResult:
    listener = context.listener
    inputs, epochs = prepared.all_images, summary.best.epochs
    listener.on_retraining(RetrainingStarted(summary.best.number, sum(epochs), len(inputs.train)))

    def show(epoch: int, metrics: Any) -> bool:
        listener.on_epoch_ended(EpochEnded(None, epoch, sum(epochs), metrics))
        return True

    for seed in range(summary.seed, summary.seed + MAX_RETRAIN_ATTEMPTS):
        keras.utils.clear_session()
        options = TrainingOptions(
            seed,
            epochs=epochs[0],
            second_epochs=epochs[1],
            cooldown=COOLDOWN,
            on_epoch=show,
            stop=context.stop,
            checkpoints=_retraining_checkpoints(context.checkpoints, summary, seed),
        )
        trained = train_recipe(summary.recipe, inputs, options)
        if trained.end_reason != EndReason.DIVERGED:
            return trained
    raise ModelError(
        f"retraining trial {summary.best.number} diverged {MAX_RETRAIN_ATTEMPTS} times\n"
        "hint: lower the learning-rate range and start a new study"
    )


def _retraining_checkpoints(
    checkpoints: StudyCheckpoints | None, summary: SearchSummary, seed: int
) -> TrialCheckpoints | None:
    """Return the checkpoints of one retraining; the trial itself and other seeds have their own."""
    fingerprint = json.dumps(["retraining", seed, summary.best.epochs, to_json(summary.recipe)])
    return checkpoints.for_trial(summary.best.number, fingerprint, summary.attempt) if checkpoints else None


def search_metrics(summary: SearchSummary) -> dict[str, Any]:
    """Return what `metrics.json` says about the search."""
    return {
        "study": summary.study,
        STUDY_ID: summary.identity,
        "metric": summary.metric,
        "direction": summary.direction,
        "trials": summary.progress.counts,
        "baseline": {"number": 0, "value": summary.progress.baseline},
        "best": asdict(summary.best),
    }
