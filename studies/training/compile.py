"""Compiles a model as its recipe says: optimizer, learning-rate schedule, loss and metrics."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import keras

from spaces.records import Record
from spaces.registry import look_up
from spaces.space import Recipe
from spaces.training import SGD, Adam, AdamW, Constant, Cosine, RMSprop
from studies.backend import device_info
from studies.models.outputs import returns_logits


def compile_model(
    model: keras.Model,
    recipe: Recipe,
    steps_per_epoch: int,
    steps_per_execution: int,
    rate: Any = None,
    *,
    outputs: int | None = None,
) -> None:
    """Compile a model for training.

    Args:
        model: Model with one output for two classes, else one for each class.
        recipe: Recipe that is trained.
        steps_per_epoch: Number of batches in an epoch, which determines the length of the schedule.
        steps_per_execution: Number of steps that run without returning to Python.
        rate: Learning rate or schedule; None for that of the recipe.
        outputs: Number of outputs of a model that does not know it, such as a subclass of `Model`.
    """
    logits = returns_logits(model)
    binary = (outputs or model.output_shape[-1]) == 1
    if binary:
        loss = keras.losses.BinaryCrossentropy(from_logits=logits)
        accuracy = keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0 if logits else 0.5)
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
        accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    model.compile(
        optimizer=make_optimizer(recipe, steps_per_epoch, rate),
        loss=loss,
        metrics=[accuracy],
        steps_per_execution=steps_per_execution,
        jit_compile=device_info.jit_compile(),
    )


def make_optimizer(recipe: Recipe, steps_per_epoch: int, rate: Any = None) -> keras.optimizers.Optimizer:
    """Return the recipe's optimizer, with its own learning rate and schedule or another rate."""
    make = look_up(OPTIMIZERS, type(recipe.optimizer), "optimizer")
    rate = read_learning_rate(recipe, steps_per_epoch) if rate is None else rate
    return make(learning_rate=rate, **dataclasses.asdict(recipe.optimizer))


def _sgd(weight_decay: float, **settings: Any) -> keras.optimizers.Optimizer:
    return keras.optimizers.SGD(weight_decay=weight_decay or None, **settings)


OPTIMIZERS: Mapping[type[Record], Callable[..., keras.optimizers.Optimizer]] = {
    Adam: keras.optimizers.Adam,
    AdamW: keras.optimizers.AdamW,
    SGD: _sgd,
    RMSprop: keras.optimizers.RMSprop,
}
"""The optimizers by their records, each called with `learning_rate` and the record's fields."""


class Cooldown(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A learning rate that falls to zero in a straight line over the last steps (Haegele et al. 2024, section 3).

    Args:
        rate: Learning rate before the cooldown, a number or a schedule.
        steps: Number of steps of the whole training.
        share: Fraction of the steps in which the learning rate falls.
    """

    def __init__(self, rate: Any, steps: int, share: float) -> None:
        self.rate, self.steps, self.share = rate, steps, share

    def __call__(self, step: Any) -> Any:
        rate = self.rate(step) if callable(self.rate) else self.rate
        left = (self.steps - keras.ops.cast(step, "float32")) / (self.share * self.steps)
        return rate * keras.ops.clip(left, 0.0, 1.0)


def cooldown_schedule(recipe: Recipe, steps_per_epoch: int, epochs: int, share: float) -> Any:
    """Return the recipe's learning rate with a cooldown in the last fraction of the epochs; None if that is 0."""
    return Cooldown(read_learning_rate(recipe, steps_per_epoch), epochs * steps_per_epoch, share) if share else None


def read_learning_rate(recipe: Recipe, steps_per_epoch: int) -> Any:
    """Return the learning rate: a number, or a schedule over all epochs of the recipe."""
    is_number = isinstance(recipe.schedule, Constant) and recipe.schedule.warmup == 0.0
    return recipe.learning_rate if is_number else make_schedule(recipe, steps_per_epoch)


def make_schedule(recipe: Recipe, steps_per_epoch: int) -> Any:
    """Return the learning rate as a schedule, even if it is constant."""
    make = look_up(SCHEDULES, type(recipe.schedule), "schedule")
    return make(recipe.schedule, recipe.learning_rate, recipe.epochs * steps_per_epoch)


def _cosine(rate: float, steps: int, warmup_fraction: float, floor: float) -> keras.optimizers.schedules.CosineDecay:
    warmup = round(warmup_fraction * steps)
    # Without the warm-up branch, TensorFlow would round differently when the numbers are constants.
    return keras.optimizers.schedules.CosineDecay(
        0.0, decay_steps=max(1, steps - warmup), alpha=floor, warmup_target=rate, warmup_steps=warmup
    )


# A cosine from the peak to the peak is a constant: TensorFlow traces the same graph for both.
SCHEDULES: Mapping[type[Record], Callable[[Any, float, int], keras.optimizers.schedules.LearningRateSchedule]] = {
    Constant: lambda schedule, rate, steps: _cosine(rate, steps, schedule.warmup, 1.0),
    Cosine: lambda schedule, rate, steps: _cosine(rate, steps, schedule.warmup, schedule.floor),
}
"""The schedules by their records, each made from the record, the peak learning rate and the number of steps."""
