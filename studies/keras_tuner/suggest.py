"""Draws the hyperparameters of a hypermodel from a study, checks the hypermodel, and lists its hyperparameters."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import keras

from spaces.errors import ModelError
from spaces.keras_tuner import COMPILING, KerasTunerModel
from spaces.parameters import Parameter, Scalar
from spaces.space import Space, flatten
from spaces.table import Row
from studies.keras_tuner.exploring import Exploration, can_build, try_build
from studies.keras_tuner.fit_check import check_fit
from studies.keras_tuner.hyperparameters import Suggest, hyperparameters_for
from studies.keras_tuner.mapping import map_hyperparameter, possible_values
from studies.keras_tuner.models import build_network

Draw = Callable[[str, Parameter], Scalar]

_BASELINES: dict[tuple[int, int, bool], tuple[KerasTunerModel, Mapping[str, Parameter]]] = {}


def make_suggester(own: Collection[str], draw: Draw, *, is_baseline: bool) -> Suggest:
    """Return the function that sets the value of a hyperparameter: a drawn one, or the default for the baseline.

    No hyperparameter can have one of the space's `own` names.
    """

    def ask(hp: Any) -> Scalar:
        if hp.name in own:
            raise ModelError(
                f"model: both the hypermodel and the space have a parameter {hp.name!r}\n"
                f"hint: set a fixed {hp.name} in Space(...), or rename the hyperparameter"
            )
        found = map_hyperparameter(hp)
        if found is None:
            return possible_values(hp)[0] if possible_values(hp) else hp.default
        drawn = draw(found.name, found.parameter)
        return hp.default if is_baseline else found.value(drawn)

    return ask


def values_of_build(
    record: KerasTunerModel, ask: Suggest, passing: tuple[type[Exception], ...]
) -> Mapping[str, Scalar]:
    """Return the values of the hyperparameters of one build; its network is discarded.

    A hypermodel that fails has the values drawn so far; it fails again in training, which ends the trial. Only the
    `passing` errors of `ask` are raised.
    """
    hp = hyperparameters_for(record, ask)
    try:
        build_network(record, hp)
    except passing:
        raise
    except Exception:  # noqa: BLE001 - the hypermodel fails again in training
        pass
    finally:
        keras.utils.clear_session(free_memory=False)
    return hp.values


def check_hypermodel(space: Space, *, exports: bool = True) -> list[str]:
    """Build the space's hypermodel once with its defaults, check its own `fit`, and return notices for the user.

    Raises:
        ModelError: The hypermodel cannot be built or exported, or parameters of the space have no effect on it.
    """
    notices = check_fit(space, exports=exports)
    network = try_build(space.model, hyperparameters_for(space.model, _defaults(space)))
    if isinstance(network, ModelError):
        if not can_build(space.model):
            raise network
        return [*notices, f"The defaults cannot be built, so the baseline (trial 0) will fail: {network}"]
    unused = [each.name for each in flatten(space) if each.name.split(".")[0] in COMPILING]
    if network.compiled and unused:
        raise ModelError(f"{unused[0]}: has no effect, since build(hp) compiles its model\nhint: remove {unused[0]}")
    return notices


def defaults_of(space: Space) -> Mapping[str, Scalar]:
    """Return the hyperparameters' values under the defaults of the space's hypermodel; empty without a hypermodel.

    Raises:
        ModelError: The hyperparameters cannot be searched.
    """
    if not isinstance(space.model, KerasTunerModel):
        return {}
    first = hyperparameters_for(space.model, _defaults(space))
    try_build(space.model, first)
    return first.values


def discover_hyperparameters(space: Space) -> tuple[list[Row], Mapping[str, Scalar]]:
    """Build the space's hypermodel, if any, with its defaults and in other scopes, to discover its hyperparameters.

    Returns:
        A table row for each hyperparameter, and the values of those that exist under the defaults.

    Raises:
        ModelError: The hypermodel fails.
    """
    if not isinstance(space.model, KerasTunerModel):
        return [], {}
    explored = Exploration(space.model, _defaults(space))
    explored.explore()
    return explored.rows, explored.values


def baseline_parameters(record: KerasTunerModel) -> Mapping[str, Parameter]:
    """Return the parameters that a study draws for the hypermodel's defaults, by name; built once per process."""
    key = id(record.hypermodel), id(record.hyperparameters), record.tune_new_entries
    if key not in _BASELINES:
        found: dict[str, Parameter] = {}

        def keep(name: str, parameter: Parameter) -> Scalar:
            return found.setdefault(name, parameter).default

        try_build(record, hyperparameters_for(record, make_suggester((), keep, is_baseline=True)))
        keras.utils.clear_session(free_memory=False)
        _BASELINES[key] = record, found
    return _BASELINES[key][1]


def _defaults(space: Space) -> Suggest:
    """Return a function that gives each hyperparameter its default, and refuses names that the space has."""
    own = {each.name for each in flatten(space)}
    return make_suggester(own, lambda name, parameter: parameter.default, is_baseline=True)
