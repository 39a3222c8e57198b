"""Asks a study for the hyperparameters of a hypermodel, and tells them in words."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import keras

from spaces.errors import ModelError
from spaces.keras_tuner import COMPILING, KerasTunerModel
from spaces.parameters import Parameter, Scalar
from spaces.space import Space, flatten
from spaces.table import Row
from studies.keras_tuner.exploring import Explored, built, can_be_built
from studies.keras_tuner.fit_check import check_fit
from studies.keras_tuner.hyperparameters import Suggest, hyperparameters_for
from studies.keras_tuner.mapping import map_hyperparameter, possible_values
from studies.keras_tuner.models import build_network

Draw = Callable[[str, Parameter], Scalar]

_BASELINES: dict[tuple[int, int, bool], tuple[KerasTunerModel, Mapping[str, Parameter]]] = {}


def make_suggester(own: Collection[str], draw: Draw, *, is_baseline: bool) -> Suggest:
    """What gives a hyperparameter its value.

    Args:
        own: Names of the space's own parameters, which no hyperparameter can share.
        draw: Draws the value of a parameter of that name.
        is_baseline: The hyperparameters have their defaults, whatever is drawn.
    """

    def ask(hp: Any) -> Scalar:
        if hp.name in own:
            raise ModelError(
                f"model: the hypermodel has a hyperparameter {hp.name!r}, and so has the space: "
                f"give Space(...) a fixed {hp.name}, or rename the hyperparameter"
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
    """The values of the hyperparameters that one build asks for, of which the network is thrown away.

    Where the hypermodel fails, those it had asked for: it fails once more in training, where that ends one trial.

    Args:
        record: The hypermodel.
        ask: Gives the values.
        passing: Errors of `ask` that are no trial's fault, and are raised.
    """
    hp = hyperparameters_for(record, ask)
    try:
        build_network(record, hp)
    except passing:
        raise
    except Exception:  # noqa: BLE001 - whatever the hypermodel breaks, training meets again
        pass
    finally:
        keras.utils.clear_session(free_memory=False)
    return hp.values


def check_hypermodel(space: Space, *, exports: bool = True) -> list[str]:
    """Build the space's hypermodel, if it has one, once with its defaults, and look at its own `fit`.

    Args:
        space: The space.
        exports: Whether the best trial's model is wanted.

    Returns:
        What the user should know about it, one sentence each.

    Raises:
        ModelError: It cannot be built, its `fit` does not train the model to export, or parameters of the space would
            have no effect on it.
    """
    if not isinstance(space.model, KerasTunerModel):
        return []
    notices = check_fit(space, exports=exports)
    network = built(space.model, hyperparameters_for(space.model, _defaults(space)))
    if isinstance(network, ModelError):
        if not can_be_built(space.model):
            raise network
        return [*notices, f"{network}. These are the defaults, so trial 0, the baseline, fails."]
    unused = [each.name for each in flatten(space) if each.name.split(".")[0] in COMPILING]
    if network.compiled and unused:
        raise ModelError(f"{unused[0]}: has no effect, since the hypermodel compiles its model itself: leave it out")
    return notices


def defaults_of(space: Space) -> Mapping[str, Scalar]:
    """The values of the hyperparameters that exist under the defaults of the space's hypermodel, if it has one.

    Raises:
        ModelError: Its hyperparameters cannot be searched.
    """
    if not isinstance(space.model, KerasTunerModel):
        return {}
    first = hyperparameters_for(space.model, _defaults(space))
    built(space.model, first)
    return first.values


def discover_hyperparameters(space: Space) -> tuple[list[Row], Mapping[str, Scalar]]:
    """What building the space's hypermodel, if it has one, comes upon: with its defaults, then in other scopes.

    Returns:
        Its hyperparameters in words, and the values of those that exist under the defaults.

    Raises:
        ModelError: The hypermodel fails.
    """
    if not isinstance(space.model, KerasTunerModel):
        return [], {}
    explored = Explored(space.model, _defaults(space))
    explored.explore()
    return explored.rows, explored.values


def baseline_parameters(record: KerasTunerModel) -> Mapping[str, Parameter]:
    """The parameters that a study draws for the hypermodel's defaults, by their names there; built once a process."""
    key = id(record.hypermodel), id(record.hyperparameters), record.tune_new_entries
    if key not in _BASELINES:
        found: dict[str, Parameter] = {}

        def keep(name: str, parameter: Parameter) -> Scalar:
            return found.setdefault(name, parameter).default

        built(record, hyperparameters_for(record, make_suggester((), keep, is_baseline=True)))
        keras.utils.clear_session(free_memory=False)
        _BASELINES[key] = record, found
    return _BASELINES[key][1]


def _defaults(space: Space) -> Suggest:
    """What gives each hyperparameter its default, and refuses one of a name that the space has."""
    own = {each.name for each in flatten(space)}
    return make_suggester(own, lambda name, parameter: parameter.default, is_baseline=True)
