"""Evaluates one trial: trains its recipe and returns the outcome."""

import gc
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import keras

from spaces.canonical import fingerprint
from spaces.errors import EveryTrialError
from spaces.parameters import Scalar
from spaces.space import Recipe
from studies.checkpoints.best_weights import PATH, params_fingerprint
from studies.checkpoints.fold_progress import FoldCheckpoints
from studies.checkpoints.study_checkpoints import TrialCheckpoints
from studies.data.dataset import Dataset
from studies.features.eligibility import IMAGES, is_linear, training_input
from studies.features.training_inputs import TrainingInputs
from studies.images.lazy_images import raise_lost_files
from studies.models.out_of_memory import is_out_of_memory
from studies.outcome import COMPLETE, WAITING, Best, Costs, Progress, TrialOutcome
from studies.training.cross_validation import fold_data, train_folds
from studies.training.model_cache import CompiledModelCache
from studies.training.options import OnEpoch, TrainingOptions
from studies.training.result import TrainingResult
from studies.trials.claimed_trial import ClaimedTrial, Decision
from studies.trials.linear_trial import train_linear_trial
from studies.trials.recipe_training import train_recipe
from studies.trials.run_context import RunContext
from studies.trials.run_time_budget import TimeBudget
from studies.trials.samplers import suggest_during_fit, trial_seed
from studies.trials.trial_meter import TrialClock, TrialMeter
from studies.trials.trial_outcome import after_error, after_training, beats, ends_the_run

logger = logging.getLogger(__name__)


@dataclass
class TrialEvaluator:
    """Trains the recipe of one trial and returns the outcome.

    Args:
        context: Context of the run.
        budget: Reserves time for retraining and export; None without them.
        exports: True if the best trial is exported, so that each trial must train its model.

    Attributes:
        unfinished: State of a trial that was stopped within its first epoch while none was complete; its weights
            are saved.
    """

    context: RunContext
    budget: TimeBudget | None = None
    exports: bool = True
    unfinished: Best | None = field(default=None, init=False)
    _meter: TrialMeter | None = field(default=None, init=False)
    _head_costs: Costs | None = field(default=None, init=False)
    _trained_on: str = field(default="", init=False)
    _has_warned: bool = field(default=False, init=False)
    _suggest: Callable[[Any], Scalar] | None = field(default=None, init=False)
    _model_cache: CompiledModelCache = field(default_factory=CompiledModelCache, init=False)

    def __post_init__(self) -> None:
        self._budget = self.budget or TimeBudget(self.context.stop, exports=False)
        # Imported modules stay: without this, collecting garbage after each trial takes a tenth of the time.
        gc.collect()
        gc.freeze()

    def __call__(self, trial: ClaimedTrial, recipe: Recipe, before: Progress) -> TrialOutcome:
        """Evaluate a claimed trial that has begun. Its errors end only this trial.

        An error that the user can fix ends the run while no trial has ended `before`, and the value of a trial that
        time cut short counts if it is the best.

        Raises:
            SearchError: The images or the database cannot be used, or the first trial's recipe cannot be built.
        """
        started, self._trained_on = time.monotonic(), ""
        self._meter, self._head_costs, self.unfinished = None, None, None
        self._suggest = suggest_during_fit(trial.trial, recipe)
        try:
            trained = self._train(trial, recipe)
            if trial.claim_lost is not None:
                raise trial.claim_lost
            if trained.notice and not self._has_warned:
                self._has_warned = True
                logger.warning(trained.notice)
            if trained.untrained and self.exports:
                raise EveryTrialError(trained.untrained)
            seconds = time.monotonic() - started
            outcome = after_training(trained, recipe, trial.epochs, seconds, before, self.context.stop)
            self._save_weights(trial, recipe, trained, outcome)
            return replace(
                outcome,
                trained_on=self._trained_on,
                first_phase=trained.first_phase,
                second_phase=trained.second_phase,
                costs=self._costs(),
                chosen=trained.chosen,
            )
        except Exception as error:  # whatever a recipe breaks ends its trial, not the search
            if ends_the_run(error, before):
                raise
            if is_out_of_memory(error):
                self._model_cache.clear()
            return after_error(error, trial.steps, time.monotonic() - started, self._trained_on)
        finally:
            if not self._model_cache.is_reused:
                # It also discards the compiled code of cached models.
                keras.utils.clear_session(free_memory=False)
            gc.collect()

    def _train(self, trial: ClaimedTrial, recipe: Recipe) -> TrainingResult:
        dataset = self.context.datasets(recipe)
        with raise_lost_files(dataset.train.images):
            if is_linear(recipe):
                self._trained_on = training_input(recipe)
                trained, self._head_costs = train_linear_trial(
                    recipe, dataset, self.context, self._budget, self._options(trial, None), trial.record_fold
                )
                return trained
            if recipe.folds:
                return self._train_folds(trial, recipe, dataset, recipe.folds)
            inputs = self.context.features.for_trial(recipe, dataset, self._budget.has_time_to_prepare)
            self._trained_on = inputs.trained_on
            options = self._options(trial, self._checkpoints_of(trial, recipe))
            options = replace(options, on_restored=trial.record_restored)
            return self._fit(recipe, dataset, inputs, options)

    def _train_folds(self, trial: ClaimedTrial, recipe: Recipe, dataset: Dataset, folds: int) -> TrainingResult:
        data = fold_data(recipe, dataset, self.context.features, folds)
        self._trained_on = data.prepared.trained_on
        saved = self._checkpoints_of(trial, recipe)
        checkpoints = FoldCheckpoints(saved) if saved else None
        options = self._options(trial, checkpoints)

        def train_fold(inputs: TrainingInputs, on_epoch: OnEpoch) -> TrainingResult:
            return self._fit(recipe, dataset, inputs, replace(options, on_epoch=on_epoch))

        def on_fold(fold: int, mean: float) -> bool:
            return trial.record_fold(fold, mean) is Decision.CONTINUE

        return train_folds(data, train_fold, options.on_epoch, on_fold, checkpoints, trial.record_restored)

    def _checkpoints_of(self, trial: ClaimedTrial, recipe: Recipe) -> TrialCheckpoints | None:
        """Return the checkpoints of this trial, which may include those of an earlier worker."""
        if self.context.checkpoints is not None:
            saved = self.context.checkpoints.for_trial(trial.number, fingerprint(recipe), trial.claim.attempt)
            trial.checkpoints = saved
        return trial.checkpoints

    def _options(self, trial: ClaimedTrial, checkpoints: TrialCheckpoints | FoldCheckpoints | None) -> TrainingOptions:
        def on_epoch(epoch: int, metrics: Mapping[str, float]) -> bool:
            if self._meter is not None:
                self._meter.clock.epoch_ended()
            return trial.record_epoch(epoch, metrics) is Decision.CONTINUE

        def on_epochs_changed(epochs: int) -> None:
            trial.epochs = epochs

        return TrainingOptions(
            trial_seed(self.context.seed, trial.number),
            stop=self.context.stop,
            on_epoch=on_epoch,
            on_epochs_changed=on_epochs_changed,
            can_measure_batch=self._budget.can_measure_batch,
            checkpoints=checkpoints,
            model_cache=self._model_cache,
            suggest=self._suggest,
        )

    def _fit(
        self, recipe: Recipe, dataset: Dataset, inputs: TrainingInputs, options: TrainingOptions
    ) -> TrainingResult:
        train, validation = map(len, inputs.splits)
        backbone = None if inputs.trained_on == IMAGES else self.context.features.backbone_costs
        clock = TrialClock(recipe.batch_size, train + validation)
        self._meter = TrialMeter(self._budget, clock, validation, len(dataset.test), backbone)
        return train_recipe(recipe, inputs, replace(options, on_steps=self._meter.steps_ended))

    def _costs(self) -> dict[str, float | None] | None:
        """Return what the training cost, if it was measured, and note it for later trials."""
        costs = self._meter.costs if self._meter else self._head_costs
        if costs is None:
            return None
        self._budget.trial_ended(costs)
        return asdict(costs)

    def _save_weights(
        self, trial: ClaimedTrial, recipe: Recipe, trained: TrainingResult, outcome: TrialOutcome
    ) -> None:
        """Save the weights of the best trial so far, or of one that time cut short before there was any."""
        # Others may have ended trials since this one began.
        best, value = trial.best_so_far(), outcome.value
        if outcome.state == WAITING and trained.unfinished_value is not None:
            self.unfinished = Best(trial.number, trained.unfinished_value, 0, trial.params, 0)
        elif outcome.state != COMPLETE or value is None or (best and beats(best.value, value, recipe.metric)):
            return
        if self.context.checkpoints is None or trained.model is None:
            return
        saved = self.context.checkpoints.best_weights
        weights, state = trained.model.get_weights(), {PATH: self._trained_on}
        saved.save(trial.number, params_fingerprint(trial.params), trial.claim.attempt, weights, state)
        saved.delete_except([trial.number, *([best.number] if best else [])])
