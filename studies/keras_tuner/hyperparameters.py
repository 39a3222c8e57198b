"""`HyperParameters` that ask for the value of a hyperparameter when it is declared first."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import keras_tuner

from spaces.errors import ModelError
from spaces.keras_tuner import KerasTunerModel
from spaces.parameters import Scalar
from studies.keras_tuner.mapping import describe_values

Suggest: TypeAlias = Callable[[Any], Scalar]
"""Function that returns the value of a `keras_tuner` hyperparameter."""


class SuggestedHyperParameters(keras_tuner.HyperParameters):  # type: ignore[misc]
    """The `hp` of `build(hp)` and `fit(hp, ...)`.

    Args:
        ask: Function called for each active hyperparameter without a value; None takes defaults.
        values: Known values by name.
    """

    def __init__(self, ask: Suggest | None = None, values: Mapping[str, Scalar] | None = None) -> None:
        super().__init__()
        self.values = dict(values or {})
        self.ask = ask
        self.failure: Exception | None = None
        """Error raised while asking, which is not the hypermodel's."""
        self.declared: frozenset[str] | None = None
        """Names declared before `build`, which cannot change their values; None until then."""

    def _retrieve(self, hp: Any) -> Any:
        # KerasTuner would return the value of the first, which the second may not have.
        first = next((each for each in self._hps.get(hp.name, ()) if each.conditions == hp.conditions), None)
        if (
            first is not None
            and hp.name not in (self.declared or ())
            and describe_hyperparameter(first) != describe_hyperparameter(hp)
        ):
            self.failure = ModelError(
                f"model: the hyperparameter {hp.name!r} is declared twice with different values, "
                f"{describe_values(first)} and {describe_values(hp)}\nhint: use two names"
            )
            raise self.failure
        return super()._retrieve(hp)

    def _register(self, hyperparameter: Any, overwrite: bool = False) -> Any:
        # All methods that declare a hyperparameter call this once.
        has_value = hyperparameter.name in self.values and not overwrite
        value = super()._register(hyperparameter, overwrite)
        if has_value or self.ask is None or not self.is_active(hyperparameter):
            return value
        try:
            self.values[hyperparameter.name] = self.ask(hyperparameter)
        except Exception as error:
            self.failure = error
            # KerasTuner has set its default, which must not count as a drawn value.
            self.values.pop(hyperparameter.name, None)
            raise
        return self.values[hyperparameter.name]


def describe_hyperparameter(hp: Any) -> tuple[Any, ...]:
    """Return a key of the hyperparameter's values, without its default and conditions; equal for equal values."""
    config = {name: value for name, value in hp.get_config().items() if name not in ("default", "conditions")}
    return type(hp).__name__, sorted(config.items(), key=lambda item: item[0])


def hyperparameters_for(record: KerasTunerModel, ask: Suggest | None) -> SuggestedHyperParameters:
    """Return the hyperparameters of a model: known values, overriding ones, and `ask` for all others."""
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
