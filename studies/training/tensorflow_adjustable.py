"""Values that a traced model reads in every step, on TensorFlow: dropout, translation, schedule, weight decay.

A Python number is traced into the model as a constant; a variable is not. They are no weights of the model: it saves,
loads and counts its weights as if they were numbers.
"""

from typing import Any

import keras
import tensorflow as tf
from keras import layers

from spaces.space import Recipe
from studies.training.compile import make_schedule

_OF_SCHEDULE = ("initial_learning_rate", "decay_steps", "warmup_target", "warmup_steps", "alpha")
_OF_TRANSLATION = ("height_lower", "height_upper", "width_lower", "width_upper")


class AdjustableDropout(layers.Dropout):  # type: ignore[misc]
    """A `Dropout` that draws and scales like that of Keras, at a rate that may change after tracing."""

    def adjust(self, rate: float) -> None:
        """Set the rate, more than 0 and less than 1."""
        # Keras scales by the reciprocal in double precision.
        values = {"_rate": rate, "_scale": 1 / (1 - rate)}
        _assign(self, values, self.compute_dtype)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Return the values after dropout."""
        if not training:
            return inputs
        drawn = keras.random.uniform(keras.ops.shape(inputs), dtype=self.compute_dtype, seed=self.seed_generator)
        return tf.where(drawn >= self._rate, inputs * self._scale, tf.zeros((), self.compute_dtype))


def adjustable(model: keras.Model) -> keras.Model:
    """Return a copy of a model, with weights of its own, whose dropout and translation can be adjusted."""
    return keras.models.clone_model(model, clone_function=_cloned)


def adjust(model: keras.Model, like: keras.Model) -> None:
    """Set dropout and translation of a model of `adjustable` to those of a model of the same structure."""
    for layer, other in zip(model.layers, like.layers, strict=True):
        if isinstance(layer, AdjustableDropout):
            layer.adjust(other.rate)
        elif isinstance(layer, layers.RandomTranslation):
            _assign(layer, {name: getattr(other, name) for name in _OF_TRANSLATION})


def adjust_optimizer(model: keras.Model, recipe: Recipe, steps_per_epoch: int) -> None:
    """Set learning rate, schedule and weight decay of a model compiled with `scheduled` to those of a recipe."""
    schedule = make_schedule(recipe, steps_per_epoch)
    _assign(model.optimizer._learning_rate, {name: getattr(schedule, name) for name in _OF_SCHEDULE})
    if model.optimizer.weight_decay is not None:
        _assign(model.optimizer, {"weight_decay": recipe.optimizer.weight_decay})


def _cloned(layer: Any) -> Any:
    kind = AdjustableDropout if type(layer) is layers.Dropout and layer.rate else type(layer)
    return kind.from_config(layer.get_config())


def _assign(owner: Any, values: dict[str, float], dtype: str = "float32") -> None:
    """Set attributes that are variables, or become variables now."""
    for name, value in values.items():
        held = getattr(owner, name, None)
        if isinstance(held, tf.Variable):
            held.assign(value)
        else:
            setattr(owner, name, tf.Variable(value, dtype=dtype, trainable=False))
