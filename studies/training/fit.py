"""Fits one recipe, in one phase or two; knows nothing of studies and trials."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import keras

from spaces.space import Recipe
from spaces.training import METRICS, Constant, FineTune
from studies.checkpoints.fold_progress import FoldCheckpoints
from studies.checkpoints.study_checkpoints import TrialCheckpoints
from studies.data.dataset import Split
from studies.models.build import build_model
from studies.models.pretrained import fine_tune
from studies.training.callbacks.best import BestEpoch
from studies.training.callbacks.checkpoint import CheckpointCallback
from studies.training.callbacks.epochs import EpochReporter
from studies.training.callbacks.stop import StopOnRequest
from studies.training.callbacks.validation import ValidationMetrics, validates_itself, validation_batch
from studies.training.compile import compile_model, cooldown_schedule
from studies.training.epochs import second_phase
from studies.training.feed import Feed, evaluation_data, steps_per_execution, training_feed
from studies.training.model_cache import CompiledModelCache
from studies.training.result import DIVERGED, FINISHED, OUT_OF_PATIENCE, REFUSED, STOPPED, TrainingResult

Build: TypeAlias = Callable[..., keras.Model]


def train(
    recipe: Recipe,
    images: Split,
    validation: Split | None,
    *,
    classes: int,
    seed: int,
    folder: Path,
    epochs: int | None = None,
    second_epochs: int | None = None,
    cooldown: float = 0.0,
    build: Build = build_model,
    on_epoch: Callable[[int, Mapping[str, float]], bool] = lambda epoch, metrics: True,
    stop: Callable[[], bool] = lambda: False,
    warm: CompiledModelCache | None = None,
    checkpoints: TrialCheckpoints | FoldCheckpoints | None = None,
    on_restored: Callable[[Sequence[Mapping[str, float]]], None] = lambda history: None,
    on_steps: Callable[[Any, int], None] = lambda model, steps: None,
    judges: Callable[[int], bool] = lambda batches: False,
) -> TrainingResult:
    """Build, compile and fit the model of a recipe.

    Args:
        recipe: What to train.
        images: The images to train on.
        validation: The images to measure the metric on after each epoch, or None to train all epochs blindly.
        classes: Number of classes.
        seed: Seed of the weights, the dropout, the augmentation and the order of images.
        folder: Where relative paths of weights start.
        epochs: Epochs of the first phase; None for the recipe's.
        second_epochs: Epochs of the second phase, whose numbers go on from the last of the first; None for the
            recipe's, 0 for no second phase.
        cooldown: Share of the last phase's steps in which the learning rate falls to zero, whatever its schedule; for
            trainings whose last weights are kept. A model that compiles itself has none.
        build: Builds the model, for what is trained on something else than images.
        on_epoch: Called with each whole epoch, counted from 1, and its metrics; returns whether to go on.
        stop: Asked after each execution of steps whether to end at once.
        warm: Compiled models of earlier trainings; the model that is returned may be used by the next one.
        checkpoints: Where the training is saved after `on_epoch`, and goes on from if one is there: it ends as one
            that was never interrupted. None saves nothing.
        on_restored: Called with the metrics of the epochs that a checkpoint holds, which are not trained again.
        on_steps: Called after each execution of steps with the model and the steps of the epoch that are done.
        judges: Where training was stopped within its first epoch: called before each batch of validation images with
            the batches that are measured, says whether to measure one more.

    Raises:
        ModelError: The recipe cannot be built.
    """
    if warm is None:
        keras.utils.set_random_seed(seed)
    else:
        warm.set_seed(seed, recipe)
    shape = images.images.shape[1:]
    model = build(recipe, shape, classes, folder=folder)
    feed = training_feed(images, recipe.batch_size, seed, recipe.balance)
    second = second_phase(recipe) if second_epochs != 0 else None
    stopping = StopOnRequest(stop, on_steps)
    ending = EpochReporter(on_epoch, feed.begin_epoch, stopping, is_last_phase=second is None)
    best = BestEpoch(recipe.metric, METRICS[recipe.metric], recipe.patience, stopping)
    saving = CheckpointCallback(checkpoints, best, ending, stopping)
    steps = steps_per_execution(shape, recipe.batch_size, feed.steps)
    if warm is None:
        share = 0.0 if second else cooldown
        compile_model(
            model, recipe, feed.steps, steps, cooldown_schedule(recipe, feed.steps, epochs or recipe.epochs, share)
        )
    else:
        model = warm.borrow(model, recipe, feed.steps, steps)
    fitting = _Fitting(model, feed, steps, stopping, ending, best, saving, cooldown)
    fitting.validate(recipe, validation, classes)
    saving.resume(model, on_restored)
    if not fitting.is_in_second_phase:
        fitting.fit(epochs or recipe.epochs)
    if second and fitting.ended in (FINISHED, OUT_OF_PATIENCE):
        fitting.fine_tune(recipe, second, second_epochs or second.epochs)
    if validation is not None:
        best.restore()
    unfinished = fitting.unfinished_value(recipe, judges)
    if warm is not None:
        warm.put_back()
    history = tuple(ending.history)
    return TrainingResult(model, history, best.epoch, best.value, best.loss, fitting.ended, *fitting.phases, unfinished)


@dataclass
class _Fitting:
    """The calls of `fit` for one model, with the callbacks that span them.

    Args:
        model: The built model.
        feed: What it is trained on.
        steps_per_execution: Steps that run without returning to Python.
        stopping: Ends training on request.
        ending: Hands the epochs on.
        best: Keeps the best weights.
        saving: Saves the training, and knows where a saved one was.
        cooldown: Share of the last phase's steps in which the learning rate falls to zero.
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
        """Measure every metric after each epoch, in one pass wherever Keras' own validation is not needed."""
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
        """Train the epochs of a phase that are not done; the model is compiled."""
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
        """Train the last layers of the backbone too, from the best weights so far."""
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

    def unfinished_value(self, recipe: Recipe, judges: Callable[[int], bool]) -> float | None:
        """The metric of a model that was stopped within its first epoch."""
        is_unfinished = self.stopping.stopped and self.stopping.has_trained and not self.ending.history
        found = self._measuring.unfinished(judges) if self._measuring and is_unfinished else {}
        return found.get(recipe.metric)

    @property
    def is_in_second_phase(self) -> bool:
        """Whether the first phase is over."""
        return self.saving.first_phase[1] > 0

    @property
    def phases(self) -> tuple[int, int]:
        """Epochs of the first and of the second phase that led to the model's weights."""
        first, trained = self.saving.first_phase
        return (first, self._reached - trained) if first and self._reached > trained else (self._reached, 0)

    @property
    def _reached(self) -> int:
        """The epoch that the weights are of: the best one, or the last where there is none."""
        return self.best.epoch or len(self.ending.history)

    @property
    def ended(self) -> str:
        """Why training ended."""
        if self.stopping.stopped:
            return STOPPED
        if self.ending.diverged:
            return DIVERGED
        if self.ending.refused:
            return REFUSED
        return OUT_OF_PATIENCE if self.best.out_of_patience else FINISHED
