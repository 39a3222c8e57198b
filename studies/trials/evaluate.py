"""Evaluates one trial: where Optuna and Keras meet."""

import gc
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import keras

from spaces.canonical import fingerprint
from spaces.errors import EveryTrialError, SearchError
from spaces.parameters import Scalar
from spaces.space import Recipe
from studies.checkpoints.best_weights import PATH, params_fingerprint
from studies.checkpoints.fold_progress import FoldCheckpoints
from studies.checkpoints.study_checkpoints import StudyCheckpoints, TrialCheckpoints
from studies.data.dataset import Dataset
from studies.database.enqueued import RefusedValues
from studies.database.errors import DATABASE_ERRORS
from studies.database.stored_trials import params_of, progress
from studies.database.workers import WorkerActivity
from studies.events import EpochEnded, RunListener
from studies.features.eligibility import IMAGES
from studies.features.inputs import FeatureInputs, TrainingInputs
from studies.images.lazy_images import raise_lost_files
from studies.models.out_of_memory import is_out_of_memory
from studies.outcome import COMPLETE, FAILED, WAITING, Best, Progress, TrialOutcome
from studies.stop_request import StopRequest
from studies.training.cross_validation import fold_data, train_folds
from studies.training.epochs import total_epochs
from studies.training.model_cache import CompiledModelCache
from studies.training.options import History, OnEpoch, TrainingOptions
from studies.training.result import TrainingResult
from studies.trials.claimed_trial import ClaimedTrial
from studies.trials.recipe_training import train_recipe
from studies.trials.samplers import suggest_during_fit, trial_seed
from studies.trials.time_budget import TimeBudget, TrialClock
from studies.trials.trial_meter import TrialMeter
from studies.trials.trial_outcome import after_error, after_training, beats, ends_the_run

logger = logging.getLogger(__name__)


@dataclass
class TrialEvaluator:
    """Trains the recipe of one trial and says how it ended.

    Args:
        seed: The study's seed.
        folder: Where relative paths of weights start.
        data: Gives the images of a recipe.
        listener: Is told of every epoch.
        stop: Asked between steps whether to end.
        features: Gives the features that a frozen backbone's head is trained on; None starts with those on disk.
        activity: What this worker does, as shown to others.
        checkpoints: Where trials in training are saved; None saves nothing.
        exports: The best trial's model is wanted, so that a trial must train it.
        budget: What is kept of the time limit for what follows the search; None where nothing follows.

    Attributes:
        unfinished: What a trial reached that was stopped within its first epoch while none was complete; its weights
            are kept.
    """

    seed: int
    folder: Path
    data: Callable[[Recipe], Dataset]
    listener: RunListener
    stop: StopRequest
    features: FeatureInputs | None = None
    activity: WorkerActivity = field(default_factory=WorkerActivity)
    checkpoints: StudyCheckpoints | None = None
    budget: TimeBudget | None = None
    exports: bool = True
    unfinished: Best | None = field(default=None, init=False)
    _meter: TrialMeter | None = field(default=None, init=False)
    _path: str = field(default="", init=False)
    _has_told: bool = field(default=False, init=False)
    _epochs: int = field(default=0, init=False)
    _ask: Callable[[Any], Scalar] | None = field(default=None, init=False)
    _warm: CompiledModelCache = field(default_factory=CompiledModelCache, init=False)

    def __post_init__(self) -> None:
        self._features = self.features or FeatureInputs(self.folder)
        self._budget = self.budget or TimeBudget(self.stop, exports=False)
        # What is imported stays: without it, looking for garbage after each trial takes a tenth of the time.
        gc.collect()
        gc.freeze()

    def __call__(self, trial: ClaimedTrial, recipe: Recipe, before: Progress) -> TrialOutcome:
        """Evaluate a trial.

        Args:
            trial: The trial, taken.
            recipe: What it trains.
            before: How far the study was. An error that the user can mend ends the run while no trial has ended,
                and what was reached when time is over counts if it is the best.

        Returns:
            How it ended; errors of one trial end only that trial.

        Raises:
            SearchError: The images or the database cannot be used, or the first trial's recipe cannot be built.
        """
        started, self._path, self._epochs = time.monotonic(), "", total_epochs(recipe)
        self._meter, self.unfinished = None, None
        self._ask = suggest_during_fit(trial.trial, recipe)
        try:
            trained = self._train(trial, recipe)
            if trial.claim_lost is not None:
                raise trial.claim_lost
            if trained.notice and not self._has_told:
                self._has_told = True
                logger.warning(trained.notice)
            if trained.untrained and self.exports:
                raise EveryTrialError(trained.untrained)
            seconds = time.monotonic() - started
            outcome = after_training(trained, recipe, self._epochs, seconds, before, self.stop)
            self._keep_weights(trial, recipe, trained, outcome, before)
            first, second, costs = trained.first_phase, trained.second_phase, self._costs()
            return replace(outcome, trained_on=self._path, first_phase=first, second_phase=second, costs=costs)
        except RefusedValues as error:
            seconds = time.monotonic() - started
            return TrialOutcome(FAILED, None, None, 0, seconds, str(error), trained_on=self._path, refused=True)
        except DATABASE_ERRORS:
            raise
        except Exception as error:  # whatever a recipe breaks ends its trial, not the search
            if isinstance(error, SearchError) and ends_the_run(error, before):
                raise
            if is_out_of_memory(error):
                self._warm.clear()
            return after_error(error, trial.steps, time.monotonic() - started, self._path)
        finally:
            if not self._warm.is_reused:
                # It throws away the compiled code of kept models too.
                keras.utils.clear_session(free_memory=False)
            gc.collect()

    def _train(self, trial: ClaimedTrial, recipe: Recipe) -> TrainingResult:
        dataset = self.data(recipe)
        with raise_lost_files(dataset.train.images):
            return self._train_on(trial, recipe, dataset)

    def _train_on(self, trial: ClaimedTrial, recipe: Recipe, dataset: Dataset) -> TrainingResult:
        if recipe.folds:
            return self._train_folds(trial, recipe, dataset, recipe.folds)
        prepared = self._features.for_trial(recipe, dataset, self._budget.has_time_to_prepare)
        self._path = prepared.trained_on

        def on_epoch(epoch: int, metrics: Mapping[str, float]) -> bool:
            value = metrics[recipe.metric]
            self._epoch_ended()
            trial.report(value, epoch)
            self._keep(trial, recipe, epoch, metrics)
            return self._goes_on(trial, epoch, self._epochs, value)

        def on_restored(history: History) -> None:
            for epoch, metrics in enumerate(history, start=1):
                # The database may have been restored from a time before the checkpoint.
                if epoch not in trial.steps:
                    trial.report(metrics[recipe.metric], epoch)
            self._keep_restored(trial, recipe, history)

        return self._fit(trial, recipe, dataset, prepared, on_epoch, self._checkpoints_of(trial, recipe), on_restored)

    def _train_folds(self, trial: ClaimedTrial, recipe: Recipe, dataset: Dataset, folds: int) -> TrainingResult:
        data = fold_data(recipe, dataset, self._features, folds)
        self._path = data.prepared.trained_on
        saved = self._checkpoints_of(trial, recipe)
        checkpoints = FoldCheckpoints(saved) if saved else None

        def train_fold(fold: TrainingInputs, on_epoch: OnEpoch) -> TrainingResult:
            return self._fit(trial, recipe, dataset, fold, on_epoch, checkpoints)

        def on_fold(fold: int, mean: float) -> bool:
            trial.report(mean, fold)
            return self._goes_on(trial, fold, folds, mean)

        def keep(epoch: int, metrics: Mapping[str, float]) -> None:
            self._epoch_ended()
            self._keep(trial, recipe, epoch, metrics)
            trial.write()

        def on_restored(history: History) -> None:
            self._keep_restored(trial, recipe, history)

        return train_folds(data, train_fold, keep, on_fold, checkpoints, on_restored)

    def _checkpoints_of(self, trial: ClaimedTrial, recipe: Recipe) -> TrialCheckpoints | None:
        """Where this trial's training is saved, and may have been saved by the worker that had it before."""
        if self.checkpoints is not None:
            trial.checkpoints = self.checkpoints.for_trial(trial.number, fingerprint(recipe), trial.claim.attempt)
        return trial.checkpoints

    def _fit(
        self,
        trial: ClaimedTrial,
        recipe: Recipe,
        dataset: Dataset,
        prepared: TrainingInputs,
        on_epoch: OnEpoch,
        checkpoints: TrialCheckpoints | FoldCheckpoints | None,
        on_restored: Callable[[History], None] = lambda history: None,
    ) -> TrainingResult:
        self._meter = TrialMeter(
            self._budget,
            TrialClock(recipe.batch_size, sum(map(len, prepared.splits))),
            len(prepared.splits[1]),
            len(dataset.test),
            None if prepared.trained_on == IMAGES else self._features.backbone_costs,
        )
        options = TrainingOptions(
            trial_seed(self.seed, trial.number),
            stop=self.stop,
            on_epoch=on_epoch,
            on_steps=self._meter.steps_ended,
            on_restored=on_restored,
            on_epochs_changed=self._set_epochs,
            can_measure_batch=self._budget.goes_on_judging,
            checkpoints=checkpoints,
            model_cache=self._warm,
            suggest=self._ask,
        )
        return train_recipe(recipe, prepared, options)

    def _set_epochs(self, epochs: int) -> None:
        """Take the number of epochs that a `fit` of the user's own has set."""
        self._epochs = epochs

    def _epoch_ended(self) -> None:
        if self._meter is not None:
            self._meter.clock.epoch_ended()

    def _costs(self) -> dict[str, float | None] | None:
        """What the training cost, if it was measured; noted for the trials to come."""
        costs = self._meter.costs if self._meter else None
        if costs is None:
            return None
        self._budget.trial_ended(costs)
        return asdict(costs)

    def _keep_weights(
        self, trial: ClaimedTrial, recipe: Recipe, trained: TrainingResult, outcome: TrialOutcome, before: Progress
    ) -> None:
        """Keep the weights of the best trial so far, or of one that time has cut short before there was any."""
        # Others may have ended trials since this one began.
        best, value = progress(trial.trial.study, before.trials).best, outcome.value
        if outcome.state == WAITING and trained.unfinished_value is not None:
            self.unfinished = Best(trial.number, trained.unfinished_value, 0, params_of(trial.trial), 0)
        elif outcome.state != COMPLETE or value is None or (best and beats(best.value, value, recipe.metric)):
            return
        if self.checkpoints is None or trained.model is None:
            return
        kept = self.checkpoints.best_weights
        weights, state = trained.model.get_weights(), {PATH: self._path}
        kept.save(trial.number, params_fingerprint(params_of(trial.trial)), trial.claim.attempt, weights, state)
        kept.delete_except([trial.number, *([best.number] if best else [])])

    def _keep(self, trial: ClaimedTrial, recipe: Recipe, epoch: int, metrics: Mapping[str, float]) -> None:
        """Keep an epoch and show it."""
        trial.keep_epoch(epoch, metrics)
        epochs = max(epoch, self._epochs * (recipe.folds or 1))
        now = self.activity
        now.epoch, now.epochs, now.metric_value = epoch, epochs, metrics.get(recipe.metric)
        self.listener.on_epoch_ended(EpochEnded(trial.number, epoch, epochs, metrics))

    def _keep_restored(self, trial: ClaimedTrial, recipe: Recipe, history: History) -> None:
        """Keep the epochs that a checkpoint holds, and show that they are done."""
        for epoch, metrics in enumerate(history[:-1], start=1):
            trial.keep_epoch(epoch, metrics)
        self._keep(trial, recipe, len(history), history[-1])

    def _goes_on(self, trial: ClaimedTrial, step: int, steps: int, value: float) -> bool:
        """Ask the pruner after a step, which is an epoch or a fold, and write; the last one is written with the end."""
        if step >= steps:
            return True
        is_judged = trial.number == 0 or step <= trial.last_reported_step or not math.isfinite(value)
        if not is_judged and trial.should_prune():
            # Written with the end: a worker that dies in between must not leave it judged and running.
            return False
        return trial.write()
