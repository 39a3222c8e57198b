"""Compiled models of a worker, so that a later trial of the same structure is not traced and compiled again.

Tracing takes longer than the training of a small network. A cached model trains exactly like a new one: it gets the
weights and the random state of a new one, an optimizer without memory, and the trial's own learning rate, dropout,
translation, weight decay and batch size.
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
from studies.training.compile import compile_model, make_schedule
from studies.training.epochs import second_phase

MAX_MODELS = 8
MAX_BYTES = 2**28
"""Size of the weights of all cached models together; their optimizers may take twice as much again."""

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
"""Numbers that may change from trial to trial, but not between 0 and another value; so may the dropout."""


class CompiledModelCache:
    """Keeps the models that were used last, compiled.

    Args:
        max_models: Maximum number of models.

    Attributes:
        reused: Number of times that a cached model was trained again.
        is_reused: True if the last training used a cached model.
    """

    def __init__(self, max_models: int = MAX_MODELS) -> None:
        self._max_models = max_models
        self._models: OrderedDict[str, keras.Model] = OrderedDict()
        self._borrowed_entry: tuple[str, keras.Model] | None = None
        self.reused = 0
        self.is_reused = False

    def set_seed(self, seed: int, recipe: Recipe) -> None:
        """Seed what builds a recipe's model: all generators, or for a model that can be cached those it draws from.

        TensorFlow's own generator, which none of our layers uses, discards all compiled code when it is seeded.
        """
        self.is_reused = False
        if not _is_cacheable_recipe(recipe):
            keras.utils.set_random_seed(seed)
            return
        random.seed(seed)
        np.random.seed(seed)

    def borrow(self, fresh: keras.Model, recipe: Recipe, steps_per_epoch: int, steps_per_execution: int) -> keras.Model:
        """Return a compiled model that trains as the fresh, uncompiled one would: a cached one, or the fresh one."""
        self._borrowed_entry = None
        model = self._borrowed(fresh, recipe, steps_per_execution) if _is_cacheable_recipe(recipe) else None
        if model is None:
            compile_model(fresh, recipe, steps_per_epoch, steps_per_execution)
            return fresh
        if self.is_reused:
            _forget(model.optimizer)
        else:
            rate = make_schedule(recipe, steps_per_epoch)
            compile_model(model, recipe, steps_per_epoch, steps_per_execution, rate)
        from studies.training.tensorflow_adjustable import adjust, adjust_optimizer

        _copy_state(fresh, model)
        adjust(model, fresh)
        adjust_optimizer(model, recipe, steps_per_epoch)
        return model

    def _borrowed(self, fresh: keras.Model, recipe: Recipe, steps_per_execution: int) -> keras.Model | None:
        """Return a cached model of this structure, or a new one that can be cached; None if neither is possible."""
        from studies.training.tensorflow_adjustable import adjustable

        key = _structure(recipe, fresh, steps_per_execution)
        # The borrower puts it back: after an error it is gone.
        model = self._models.pop(key, None)
        self.is_reused = model is not None
        self.reused += self.is_reused
        if model is None and _is_cacheable_model(fresh) and _shapes(copy := adjustable(fresh)) == _shapes(fresh):
            model = copy
        self._borrowed_entry = None if model is None else (key, model)
        return model

    def put_back(self) -> None:
        """Cache the model that was borrowed last, if possible, and evict those used longest ago."""
        if self._borrowed_entry is not None:
            key, model = self._borrowed_entry
            self._models[key], self._borrowed_entry = model, None
        while len(self._models) > self._max_models or sum(map(_bytes, self._models.values())) > MAX_BYTES:
            self._models.popitem(last=False)

    def clear(self) -> None:
        """Remove all models, when memory has run out."""
        self._models.clear()
        self._borrowed_entry = None


def _is_cacheable_recipe(recipe: Recipe) -> bool:
    """Return True if a recipe's model can be trained a second time as if it were new.

    On other backends than TensorFlow the numbers that change are compiled in. Code of a user may do anything; a second
    phase changes what is trained; mixed_float16 wraps the optimizer in another one. Only the
    numbers of a cosine can be changed.
    """
    is_cosine = isinstance(make_schedule(recipe, 1), keras.optimizers.schedules.CosineDecay)
    on_tensorflow = keras.backend.backend() == "tensorflow"
    one_phase = second_phase(recipe) is None
    return is_cosine and on_tensorflow and one_phase and recipe.model is None and recipe.precision != "mixed_float16"


def _is_cacheable_model(model: keras.Model) -> bool:
    """Return True if a model is small, and no layer has its weights as constants, as `Normalization` does."""
    is_constant = any(isinstance(layer, keras.layers.Normalization) for layer in all_layers(model))
    return _bytes(model) <= MAX_BYTES and not is_constant


def _structure(recipe: Recipe, fresh: keras.Model, steps_per_execution: int) -> str:
    """Return everything that is traced into a compiled model, as a key."""
    form = {name: value for name, value in to_json(recipe).items() if name not in _OF_THE_TRIAL}
    form["dropout"] = bool(form["dropout"])
    for record, field in _ONLY_WHETHER:
        if field in (part := form[record] or {}):
            part[field] = bool(part[field])
    # 0 and 1 are exact as variables; another floor could be rounded differently.
    floor = make_schedule(recipe, 1).alpha
    form["schedule"] = None if floor in (0.0, 1.0) else floor
    parts = [form, fresh.name, fresh.input_shape, fresh.output_shape, steps_per_execution]
    return json.dumps(parts, sort_keys=True)


def _copy_state(fresh: keras.Model, model: keras.Model) -> None:
    """Copy weights, statistics, and the state of every random layer."""
    for target, source in zip(_state(model), _state(fresh), strict=True):
        target.assign(source.value)


def _state(model: keras.Model) -> list[Any]:
    return [variable for layer in model.layers for variable in layer.variables]


def _shapes(model: keras.Model) -> list[tuple[int, ...]]:
    """Return the shapes of all that `_copy_state` copies: a layer changed later may have more than its copy."""
    return [tuple(variable.shape) for variable in _state(model)]


def _forget(optimizer: keras.optimizers.Optimizer) -> None:
    """Reset an optimizer: its moments and its step count start at zero."""
    for variable in optimizer.variables:
        variable.assign(keras.ops.zeros_like(variable))


def _bytes(model: keras.Model) -> int:
    # Weights are float32 under every precision.
    return 4 * int(model.count_params())
