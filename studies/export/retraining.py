"""After the search: the best recipe trained on all images but the test split's, tested once, and exported."""

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
from studies.data.dataset import Dataset, Split
from studies.events import EpochEnded, RetrainingStarted
from studies.export.export_folder import STUDY_ID, Publish, publish_at_once
from studies.export.plots.curves import Curve, mean_over_folds
from studies.export.plots.drawing import draw_plots
from studies.export.search_summary import SearchSummary
from studies.export.trial_weights import build_with_weights
from studies.export.writer import export_model
from studies.features.eligibility import IMAGES
from studies.features.inputs import TrainingInputs, image_inputs
from studies.models.layers import all_layers
from studies.training.feed import evaluation_data
from studies.training.options import TrainingOptions
from studies.training.result import DIVERGED, STOPPED, TrainingResult
from studies.training.scores import class_probabilities, compute_scores
from studies.trials.recipe_training import inference_model_of, train_recipe
from studies.trials.run_context import RunContext

SAMPLE_COUNT = 32
RETRAINING, TRIAL = "retraining", "trial"
"""Where the weights of an export come from."""

MAX_RETRAIN_ATTEMPTS = 3
"""How often a retraining that diverges is tried, each time with another seed."""

COOLDOWN = 0.3
"""Share of the retraining in which the learning rate falls to zero. A trial keeps its best epoch; without validation
images the last weights have to do, and under a constant rate those are wherever the last steps leave them."""


@dataclass(frozen=True)
class FinalModel:
    """The trained model that is exported.

    Args:
        model: The network, or its head where features were trained on.
        prepared: What it was trained on.
        weights: Where its weights come from, for `metrics.json`.
    """

    model: keras.Model
    prepared: TrainingInputs
    weights: Mapping[str, Any]


def retrain_and_export(
    found: SearchSummary,
    dataset: Dataset,
    context: RunContext,
    *,
    best_folder: Path,
    publish: Publish = publish_at_once,
    retrains: bool = True,
    has_time: Callable[[int], bool] = lambda layers: True,
) -> dict[str, Any] | None:
    """Retrain, test and export the best recipe; without time to retrain, with the weights that its trial had.

    Args:
        found: What the search found.
        dataset: The recipe's images.
        context: What all parts of the run share. The retraining is saved in its checkpoints, under the number of the
            best trial, and resumes from there.
        best_folder: Where the export goes; an earlier one is replaced when the new one is complete.
        publish: Puts the export in place while this worker holds the export lock.
        retrains: There is time to retrain.
        has_time: Returns True if there is time to write a model with this number of layers in a second format.

    Returns:
        The content of `metrics.json`, or None when stopped before.

    Raises:
        ExportLockLostError: Another worker has claimed the export.
    """
    started = time.monotonic()
    features, checkpoints, listener = context.features, context.checkpoints, context.listener
    final = _Exporting(found, dataset, context).final(retrains)
    if final is None:
        return None
    prepared = final.prepared
    retrained = time.monotonic()
    listener.on_exporting(found.best.number if final.weights["from"] == TRIAL else None)
    shape = dataset.image_shape
    whole = features.full_model(found.recipe, prepared, final.model, dataset)
    model = inference_model_of(found.recipe, whole, shape, len(dataset.classes))
    compared = features.verify_full_model(found.recipe, prepared, final.model, model, dataset)
    probabilities = model.predict(evaluation_data(dataset.test, found.recipe.batch_size), verbose=0)
    scores = compute_scores(probabilities, dataset.test.labels, dataset.classes)

    def metrics(exports: Any) -> dict[str, Any]:
        seconds = {
            "search": found.search_seconds,
            "retrain": retrained - started if final.weights["from"] == RETRAINING else 0.0,
            "export": time.monotonic() - retrained,
        }
        rounded = {name: round(value, 3) for name, value in seconds.items()}
        tested = {"weights": final.weights, "test": scores.to_json(), "features": compared}
        return {**_search_metrics(found), **tested, "exports": exports, "seconds": rounded}

    exported = export_model(
        model,
        best_folder,
        labels=dataset.classes,
        image_shape=shape,
        resize=dataset.resize,
        recipe_json=to_json(found.recipe),
        metrics=metrics,
        samples=_samples(dataset.test),
        draw=lambda new: draw_plots(new, found.metric, _curves(found), dataset, class_probabilities(probabilities)),
        study=found.identity,
        publish=publish,
        has_time=lambda: has_time(sum(1 for _ in all_layers(model))),
    )
    if checkpoints and final.weights["from"] == RETRAINING:
        checkpoints.for_trial(found.best.number).clear()
        checkpoints.best_weights.delete_except([])
    return exported


@dataclass(frozen=True)
class _Exporting:
    """What the final model is made of; the arguments are those of `retrain_and_export`."""

    found: SearchSummary
    dataset: Dataset
    context: RunContext

    def final(self, retrains: bool) -> FinalModel | None:
        """The model: retrained if there is time, else as its trial left it; None when it was interrupted."""
        retrained = self._retrain_best() if retrains else None
        if retrained is not None and retrained.weights["complete"]:
            return retrained
        if self.context.stop.requested:
            return None
        # Without weights of the trial, a short retraining is better than no model.
        return self._from_trial() or retrained or self._retrain_best()

    def _retrain_best(self) -> FinalModel | None:
        prepared = _prepared(self.context, self.found.recipe, self.dataset)
        if prepared is None:
            return None
        trained = _retrain(self.found, prepared, self.context)
        weights = {
            "from": RETRAINING,
            "trial": self.found.best.number,
            "epochs": len(trained.history),
            "complete": trained.end_reason != STOPPED,
        }
        return FinalModel(trained.model, prepared, weights)

    def _from_trial(self) -> FinalModel | None:
        """The best trial's model with the weights of its best epoch, if they were saved."""
        best, recipe = self.found.best, self.found.recipe
        checkpoints, features = self.context.checkpoints, self.context.features
        saved = checkpoints.best_weights.load(best.number, params_fingerprint(best.params)) if checkpoints else None
        if saved is None:
            return None
        if saved.state.get(PATH) == IMAGES:
            prepared = image_inputs(self.dataset, self.context.folder)
        else:
            prepared = features.for_trial(recipe, self.dataset)
        model = build_with_weights(saved_weights(saved), recipe, prepared)
        if model is None:
            return None
        weights = {"from": TRIAL, "trial": best.number, "epoch": best.epoch, "complete": best.epoch > 0}
        return FinalModel(model, prepared, weights)


def _curves(found: SearchSummary) -> tuple[Curve, Curve]:
    """How the best trial and the baseline learned."""
    best = Curve(found.best.number, found.best.epoch or None, mean_over_folds(found.epochs.get(found.best.number, ())))
    return best, Curve(0, None, mean_over_folds(found.epochs.get(0, ())))


def _prepared(context: RunContext, recipe: Recipe, dataset: Dataset) -> TrainingInputs | None:
    """Return what is trained on; None when a signal ended its preparation."""
    try:
        return context.features.for_retraining(recipe, dataset)
    except KeyboardInterrupt:
        if context.stop():
            return None
        raise


def _retrain(found: SearchSummary, prepared: TrainingInputs, context: RunContext) -> TrainingResult:
    listener = context.listener
    inputs, epochs = prepared.all_images, found.best.epochs
    listener.on_retraining(RetrainingStarted(found.best.number, sum(epochs), len(inputs.train)))

    def show(epoch: int, metrics: Any) -> bool:
        listener.on_epoch_ended(EpochEnded(None, epoch, sum(epochs), metrics))
        return True

    for seed in range(found.seed, found.seed + MAX_RETRAIN_ATTEMPTS):
        keras.utils.clear_session()
        options = TrainingOptions(
            seed,
            epochs=epochs[0],
            second_epochs=epochs[1],
            cooldown=COOLDOWN,
            on_epoch=show,
            stop=context.stop,
            checkpoints=_retraining_checkpoints(context.checkpoints, found, seed),
        )
        trained = train_recipe(found.recipe, inputs, options)
        if trained.end_reason != DIVERGED:
            return trained
    raise ModelError(
        f"the best recipe, trial {found.best.number}, diverged in {MAX_RETRAIN_ATTEMPTS} retrainings with other seeds: "
        "narrow the learning rate of the space and search again under another --study name"
    )


def _retraining_checkpoints(
    checkpoints: StudyCheckpoints | None, found: SearchSummary, seed: int
) -> TrialCheckpoints | None:
    """The checkpoints of one retraining: the trial itself, and other seeds, have other ones."""
    fingerprint = json.dumps(["retraining", seed, found.best.epochs, to_json(found.recipe)])
    return checkpoints.for_trial(found.best.number, fingerprint, found.attempt) if checkpoints else None


def _search_metrics(found: SearchSummary) -> dict[str, Any]:
    progress = found.progress
    return {
        "study": found.study,
        STUDY_ID: found.identity,
        "metric": found.metric,
        "direction": found.direction,
        "trials": {"complete": progress.complete, "pruned": progress.pruned, "failed": progress.failed},
        "baseline": {"number": 0, "value": progress.baseline},
        "best": asdict(found.best),
    }


def _samples(split: Split) -> np.ndarray:
    """Some real images, spread over the split."""
    chosen = np.unique(np.linspace(0, len(split) - 1, SAMPLE_COUNT).astype(int))
    return np.asarray(split.images[chosen])
