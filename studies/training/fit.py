"""Fits one recipe, in one phase or two; knows nothing of studies and trials."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import keras

from spaces.space import Recipe
from spaces.training import METRICS, Constant, FineTune
from studies.data.dataset import Split
from studies.features.training_inputs import TrainingInputs
from studies.models.pretrained import fine_tune
from studies.training.callbacks.best import BestEpoch, end_reason
from studies.training.callbacks.checkpoint import CheckpointCallback
from studies.training.callbacks.epochs import EpochReporter
from studies.training.callbacks.stop import StopOnRequest
from studies.training.callbacks.validation import ValidationMetrics, validates_itself, validation_batch
from studies.training.compile import compile_model, cooldown_schedule
from studies.training.epochs import second_phase
from studies.training.feed import Feed, evaluation_data, steps_per_execution, training_feed
from studies.training.options import TrainingOptions
from studies.training.result import EndReason, TrainingResult


def train(recipe: Recipe, inputs: TrainingInputs, options: TrainingOptions) -> TrainingResult:
    """Build, compile and fit the model of a recipe.

    Raises:
        ModelError: The recipe cannot be built.
    """
    cache, seed = options.model_cache, options.seed
    if cache is None:
        keras.utils.set_random_seed(seed)
    else:
        cache.set_seed(seed, recipe)
    model = inputs.build_model(recipe)
    feed = training_feed(inputs.train, recipe.batch_size, seed, recipe.balance)
    second = second_phase(recipe) if options.second_epochs != 0 else None
    epochs = options.epochs or recipe.epochs
    stopping = StopOnRequest(options.stop, options.on_steps)
    ending = EpochReporter(options.on_epoch, feed.begin_epoch, stopping, is_last_phase=second is None)
    best = BestEpoch(recipe.metric, METRICS[recipe.metric], recipe.patience, stopping)
    saving = CheckpointCallback(options.checkpoints, best, ending, stopping)
    steps = steps_per_execution(inputs.train.images.shape[1:], recipe.batch_size, feed.steps)
    if cache is None:
        rate = cooldown_schedule(recipe, feed.steps, epochs, 0.0 if second else options.cooldown)
        compile_model(model, recipe, feed.steps, steps, rate)
    else:
        model = cache.borrow(model, recipe, feed.steps, steps)
    fitting = _Fitting(model, feed, steps, stopping, ending, best, saving, options.cooldown)
    fitting.validate(recipe, inputs.validation, inputs.classes)
    saving.resume(model, options.on_restored)
    if not fitting.is_in_second_phase:
        fitting.fit(epochs)
    if second and fitting.ended in (EndReason.FINISHED, EndReason.EARLY_STOPPED):
        fitting.fine_tune(recipe, second, options.second_epochs or second.epochs)
    if inputs.validation is not None:
        best.restore()
    unfinished = fitting.unfinished_value(recipe, options.can_measure_batch)
    if cache is not None:
        cache.put_back()
    history = tuple(ending.history)
    return TrainingResult(model, history, best.epoch, best.value, best.loss, fitting.ended, *fitting.phases, unfinished)


@dataclass
class _Fitting:
    """Calls `fit` for each phase of one model, with the callbacks that span the phases.

    Args:
        model: The built model.
        feed: Training batches.
        steps_per_execution: Number of steps that run without returning to Python.
        stopping: Ends training on request.
        ending: Reports each epoch.
        best: Keeps the best weights.
        saving: Saves the training, and restores a saved one.
        cooldown: Fraction of the last phase's steps in which the learning rate falls to zero.
    """

    model: keras.Model
    feed: Feed
    steps_per_execution: int
    stopping: StopOnRequest
    ending: EpochReporter
    best: BestEpoch
    saving: CheckpointCallback
    cooldown: float
    _validation: Any = field(default=None, init=False)
    _measuring: ValidationMetrics | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._callbacks: list[keras.callbacks.Callback] = [self.stopping, self.ending]

    def validate(self, recipe: Recipe, validation: Split | None, classes: int) -> None:
        """Measure every metric after each epoch, in one pass unless Keras' own validation is needed."""
        if validation is None:
            return
        if validates_itself(self.model):
            self._validation = evaluation_data(validation, recipe.batch_size)
        size = validation_batch(validation.images.shape[1:], recipe.batch_size, len(validation))
        self._measuring = ValidationMetrics(
            evaluation_data(validation, size), validation.labels, classes, self.stopping
        )
        self._callbacks = [self.stopping, self._measuring, self.best, self.ending]

    def fit(self, epochs: int) -> None:
        """Train the remaining epochs of a phase; the model is compiled."""
        done, last = len(self.ending.history), self.saving.first_phase[1] + epochs
        self.saving.restore(self.model)
        if done >= last or self.best.out_of_patience:
            return
        self.model.fit(
            **self.feed.inputs,
            initial_epoch=done,
            epochs=last,
            validation_data=self._validation,
            callbacks=[*self._callbacks, self.saving],
            verbose=0,
        )

    def fine_tune(self, recipe: Recipe, second: FineTune, epochs: int) -> None:
        """Train the last layers of the backbone as well, from the best weights so far."""
        if not self.is_in_second_phase:
            self.saving.first_phase = self._reached, len(self.ending.history)
            self.best.begin_phase(len(self.ending.history))
        self.ending.is_last_phase = True
        fine_tune(self.model, second.layers)
        learning_rate = recipe.learning_rate * second.learning_rate
        second_recipe = replace(recipe, learning_rate=learning_rate, schedule=Constant())
        rate = cooldown_schedule(second_recipe, self.feed.steps, epochs, self.cooldown)
        compile_model(self.model, second_recipe, self.feed.steps, self.steps_per_execution, rate)
        self.fit(epochs)

    def unfinished_value(self, recipe: Recipe, can_measure_batch: Callable[[int], bool]) -> float | None:
        """Return the metric of a model that was stopped within its first epoch; None if it was not measured."""
        is_unfinished = self.stopping.stopped and self.stopping.has_trained and not self.ending.history
        found = self._measuring.unfinished(can_measure_batch) if self._measuring and is_unfinished else {}
        return found.get(recipe.metric)

    @property
    def is_in_second_phase(self) -> bool:
        """True once the first phase is over."""
        return self.saving.first_phase[1] > 0

    @property
    def phases(self) -> tuple[int, int]:
        """Epochs of the first and of the second phase that produced the model's weights."""
        first, trained = self.saving.first_phase
        return (first, self._reached - trained) if first and self._reached > trained else (self._reached, 0)

    @property
    def _reached(self) -> int:
        """Epoch of the weights: the best one, or the last if there is none."""
        return self.best.epoch or len(self.ending.history)

    @property
    def ended(self) -> EndReason:
        """Reason for which training ended."""
        return end_reason(self.stopping, self.ending, self.best)
