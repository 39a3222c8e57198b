"""Compiled models that a worker keeps, so that a later trial of the same structure need not be traced and compiled.

Tracing takes longer than the training of a small network. What is kept trains exactly as a model that is built and
compiled anew: it gets the weights and the random state of one, an optimizer without memory, and the trial's own
learning rate, dropout, translation, weight decay and batch size.
"""

import json
import random
from collections import OrderedDict
from typing import Any

import keras
import numpy as np

from spaces.canonical import to_json
from spaces.space import Recipe
from studies.models.layers import all_layers
from studies.training.compile import as_schedule, compile_model
from studies.training.epochs import second_phase

MAX_MODELS = 8
MAX_BYTES = 2**28
"""Of the weights of all kept models together; an optimizer may take twice as much again."""

_OF_THE_TRIAL = (
    "data",
    "model",
    "learning_rate",
    "batch_size",
    "epochs",
    "patience",
    "fine_tune",
    "folds",
    "metric",
)
_ONLY_WHETHER = (
    ("backbone", "block_dropout"),
    ("augment", "translation"),
    ("optimizer", "weight_decay"),
)
"""Numbers that may change from trial to trial, but not between 0 and something else; so may the dropout."""


class CompiledModelCache:
    """Keeps the models that were used last.

    Args:
        most: Models that are kept at most.

    Attributes:
        reused: How often a kept model was trained again.
        is_reused: Whether the last training's model was a kept one.
    """

    def __init__(self, most: int = MAX_MODELS) -> None:
        self._most = most
        self._kept: OrderedDict[str, keras.Model] = OrderedDict()
        self._lent: tuple[str, keras.Model] | None = None
        self.reused = 0
        self.is_reused = False

    def set_seed(self, seed: int, recipe: Recipe) -> None:
        """Seed what builds a recipe's model: all generators, or for a model that can be kept those it draws from.

        TensorFlow's own generator, on which none of our layers draws, throws away all compiled code when it is seeded.
        """
        self.is_reused = False
        if not _may_be_kept(recipe):
            keras.utils.set_random_seed(seed)
            return
        random.seed(seed)
        np.random.seed(seed)

    def borrow(self, fresh: keras.Model, recipe: Recipe, steps_per_epoch: int, steps_per_execution: int) -> keras.Model:
        """A compiled model that trains as a fresh one would: a kept one, or one that can be kept, or the fresh one.

        Args:
            fresh: The recipe's model, just built, not compiled.
            recipe: The recipe.
            steps_per_epoch: Batches in one epoch.
            steps_per_execution: Steps that run without returning to Python.
        """
        self._lent = None
        model = self._borrowed(fresh, recipe, steps_per_execution) if _may_be_kept(recipe) else None
        if model is None:
            compile_model(fresh, recipe, steps_per_epoch, steps_per_execution)
            return fresh
        if self.is_reused:
            _forget(model.optimizer)
        else:
            rate = as_schedule(recipe, steps_per_epoch)
            compile_model(model, recipe, steps_per_epoch, steps_per_execution, rate)
        from studies.training.tensorflow_adjustable import adjust, adjust_optimizer

        _copy_state(fresh, model)
        adjust(model, fresh)
        adjust_optimizer(model, recipe, steps_per_epoch)
        return model

    def _borrowed(self, fresh: keras.Model, recipe: Recipe, steps_per_execution: int) -> keras.Model | None:
        """A kept model of this structure, or a new one that can be kept; None where there can be none."""
        from studies.training.tensorflow_adjustable import adjustable

        key = _structure(recipe, fresh, steps_per_execution)
        # Whoever borrows it gives it back: after an error it is gone.
        model = self._kept.pop(key, None)
        self.is_reused = model is not None
        self.reused += self.is_reused
        if model is None and _can_be_kept(fresh) and _shapes(copy := adjustable(fresh)) == _shapes(fresh):
            model = copy
        self._lent = None if model is None else (key, model)
        return model

    def put_back(self) -> None:
        """Keep the model that was borrowed last, if it can be kept, in place of those used longest ago."""
        if self._lent is not None:
            key, model = self._lent
            self._kept[key], self._lent = model, None
        while len(self._kept) > self._most or sum(map(_bytes, self._kept.values())) > MAX_BYTES:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        """Keep nothing: memory ran out."""
        self._kept.clear()
        self._lent = None


def _may_be_kept(recipe: Recipe) -> bool:
    """Whether a recipe's model can be trained a second time as if it were new.

    On other backends than TensorFlow the numbers that change are part of what is compiled. Code of others may hold
    anything; a second phase changes what is trained; mixed_float16 has an optimizer around the optimizer. Only the
    numbers of a cosine can be changed.
    """
    is_cosine = isinstance(as_schedule(recipe, 1), keras.optimizers.schedules.CosineDecay)
    on_tensorflow = keras.backend.backend() == "tensorflow"
    one_phase = second_phase(recipe) is None
    return is_cosine and on_tensorflow and one_phase and recipe.model is None and recipe.precision != "mixed_float16"


def _can_be_kept(model: keras.Model) -> bool:
    """Whether it is small, and no layer holds a copy of its weights as constants, as `Normalization` does."""
    is_constant = any(isinstance(layer, keras.layers.Normalization) for layer in all_layers(model))
    return _bytes(model) <= MAX_BYTES and not is_constant


def _structure(recipe: Recipe, fresh: keras.Model, steps_per_execution: int) -> str:
    """Everything that is traced into a compiled model."""
    form = {name: value for name, value in to_json(recipe).items() if name not in _OF_THE_TRIAL}
    form["dropout"] = bool(form["dropout"])
    for record, field in _ONLY_WHETHER:
        if field in (part := form[record] or {}):
            part[field] = bool(part[field])
    # As variables 0 and 1 are what they are as numbers; another floor could be rounded otherwise.
    floor = as_schedule(recipe, 1).alpha
    form["schedule"] = None if floor in (0.0, 1.0) else floor
    parts = [form, fresh.name, fresh.input_shape, fresh.output_shape, steps_per_execution]
    return json.dumps(parts, sort_keys=True)


def _copy_state(fresh: keras.Model, model: keras.Model) -> None:
    """Weights, statistics, and the state of every random layer."""
    for target, source in zip(_state(model), _state(fresh), strict=True):
        target.assign(source.value)


def _state(model: keras.Model) -> list[Any]:
    return [variable for layer in model.layers for variable in layer.variables]


def _shapes(model: keras.Model) -> list[tuple[int, ...]]:
    """Of all that `_copy_state` copies: a layer that was changed after it was built may have more than its copy."""
    return [tuple(variable.shape) for variable in _state(model)]


def _forget(optimizer: keras.optimizers.Optimizer) -> None:
    """Empty an optimizer's memory: its moments and its count of steps begin at zero."""
    for variable in optimizer.variables:
        variable.assign(keras.ops.zeros_like(variable))


def _bytes(model: keras.Model) -> int:
    # Weights are float32 under every precision.
    return 4 * int(model.count_params())
