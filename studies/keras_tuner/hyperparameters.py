"""`HyperParameters` that ask for the value of every hyperparameter when it is first met."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import keras_tuner

from spaces.errors import ModelError
from spaces.keras_tuner import KerasTunerModel
from spaces.parameters import Scalar
from studies.keras_tuner.mapping import in_words

Suggest: TypeAlias = Callable[[Any], Scalar]
"""Gives the value of a `keras_tuner` hyperparameter that has none yet."""


class SuggestedHyperParameters(keras_tuner.HyperParameters):  # type: ignore[misc]
    """What `build(hp)` and `fit(hp, ...)` are given.

    Args:
        ask: Asked for each active hyperparameter without a value; None takes defaults.
        values: Values that are known, by name.
    """

    def __init__(self, ask: Suggest | None = None, values: Mapping[str, Scalar] | None = None) -> None:
        super().__init__()
        self.values = dict(values or {})
        self.ask = ask
        self.failure: Exception | None = None
        """What went wrong while asking, which is no fault of the hypermodel."""
        self.declared: frozenset[str] | None = None
        """Names that were declared before `build`, whose values count whatever it declares; None until then."""

    def _retrieve(self, hp: Any) -> Any:
        # KerasTuner would give the value of the first, which may not be one of the second's.
        first = next((each for each in self._hps.get(hp.name, ()) if each.conditions == hp.conditions), None)
        if (
            first is not None
            and hp.name not in (self.declared or ())
            and describe_hyperparameter(first) != describe_hyperparameter(hp)
        ):
            self.failure = ModelError(
                f"model: the hyperparameter {hp.name!r} is declared twice with different values, {in_words(first)} and "
                f"{in_words(hp)}: give each a name of its own"
            )
            raise self.failure
        return super()._retrieve(hp)

    def _register(self, hyperparameter: Any, overwrite: bool = False) -> Any:
        # Every hyperparameter passes here once, whichever method declared it.
        has_value = hyperparameter.name in self.values and not overwrite
        value = super()._register(hyperparameter, overwrite)
        if has_value or self.ask is None or not self.is_active(hyperparameter):
            return value
        try:
            self.values[hyperparameter.name] = self.ask(hyperparameter)
        except Exception as error:
            self.failure = error
            # Its default was set by KerasTuner, and must not be taken for a value that was drawn.
            self.values.pop(hyperparameter.name, None)
            raise
        return self.values[hyperparameter.name]


def describe_hyperparameter(hp: Any) -> tuple[Any, ...]:
    """What values a hyperparameter has, whatever its default and conditions; equal for equal ones."""
    config = {name: value for name, value in hp.get_config().items() if name not in ("default", "conditions")}
    return type(hp).__name__, sorted(config.items(), key=lambda item: item[0])


def hyperparameters_for(record: KerasTunerModel, ask: Suggest | None) -> SuggestedHyperParameters:
    """The hyperparameters of a model: its known values, what overrides its own, and what is asked for the others."""
    hp = SuggestedHyperParameters(ask, dict(record.values))
    overriding = record.hyperparameters
    if overriding is None:
        return hp
    declared = {each.name for each in overriding.space}
    hp.values = {**{name: value for name, value in overriding.values.items() if name not in declared}, **hp.values}
    for each in overriding.space:
        hp._register(each)
    if not record.tune_new_entries:
        hp.ask = None
    return hp
