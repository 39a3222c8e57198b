"""Asks a study for the hyperparameters of a hypermodel, and tells them in words."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import keras

from spaces.errors import ModelError
from spaces.keras_tuner import COMPILING, KerasTunerModel
from spaces.parameters import Parameter, Scalar
from spaces.space import Space, flatten
from spaces.table import Row
from studies.keras_tuner.asking import Ask, AskedHyperParameters, hyperparameters_for
from studies.keras_tuner.fit_check import check_fit
from studies.keras_tuner.mapping import conditions, mapped, possible
from studies.keras_tuner.models import build_network

Draw = Callable[[str, Parameter], Scalar]

MOST_BUILDS = 20
"""How often a hypermodel is built to come upon the hyperparameters of its conditional scopes."""


def asker(own: Collection[str], draw: Draw, *, is_baseline: bool) -> Ask:
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
        found = mapped(hp)
        if found is None:
            return possible(hp)[0] if possible(hp) else hp.default
        drawn = draw(found.name, found.parameter)
        return hp.default if is_baseline else found.value(drawn)

    return ask


def values_of_build(record: KerasTunerModel, ask: Ask, passing: tuple[type[Exception], ...]) -> Mapping[str, Scalar]:
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
    network = build_network(space.model, _asking_for_defaults(space, space.model))
    unused = [hole.name for hole in flatten(space) if hole.name.split(".")[0] in COMPILING]
    if network.compiled and unused:
        raise ModelError(f"{unused[0]}: has no effect, since the hypermodel compiles its model itself: leave it out")
    return notices


def defaults_of(space: Space) -> Mapping[str, Scalar]:
    """The values of the hyperparameters that exist under the defaults of the space's hypermodel, if it has one.

    Raises:
        ModelError: The hypermodel fails.
    """
    if not isinstance(space.model, KerasTunerModel):
        return {}
    first = _asking_for_defaults(space, space.model)
    build_network(space.model, first)
    return first.values


def met_by_building(space: Space) -> tuple[list[Row], Mapping[str, Scalar]]:
    """What building the space's hypermodel, if it has one, comes upon: with its defaults, then in other scopes.

    Returns:
        Its hyperparameters in words, and the values of those that exist under the defaults.

    Raises:
        ModelError: The hypermodel fails.
    """
    if not isinstance(space.model, KerasTunerModel):
        return [], {}
    first = _asking_for_defaults(space, space.model)
    build_network(space.model, first)
    met, entered, closed = list(first.space), list(first.active_scopes), list(first.inactive_scopes)
    for _ in range(MOST_BUILDS):
        scope = next((each for each in closed if each not in entered), None)
        if scope is None:
            break
        hp = _asking_for_defaults(space, space.model)
        hp.values.update({condition.name: condition.values[0] for condition in scope})
        build_network(space.model, hp)
        met += [each for each in hp.space if not any(_same(each, other) for other in met)]
        entered += [scope, *hp.active_scopes]
        closed += hp.inactive_scopes
    return list(map(_row, met)), first.values


def _same(one: Any, other: Any) -> bool:
    return bool(one.name == other.name and one.conditions == other.conditions)


def _asking_for_defaults(space: Space, record: KerasTunerModel) -> AskedHyperParameters:
    own = {hole.name for hole in flatten(space)}
    return hyperparameters_for(record, asker(own, lambda name, parameter: parameter.default, is_baseline=True))


def _row(hp: Any) -> Row:
    when = conditions(hp).replace("=", " = ").replace(", ", " and ").replace("|", " or ")
    return Row(hp.name, _values(hp), _word(hp.default), when)


def _values(hp: Any) -> str:
    listed = possible(hp)
    if type(hp).__name__ in ("Fixed", "Choice", "Boolean") or (hp.sampling != "linear" and listed):
        return ", ".join(map(_word, listed))
    scale = "" if hp.sampling == "linear" else f", {hp.sampling}"
    step = "" if not listed or hp.step == 1 else f" in steps of {_word(hp.step)}"
    return f"{_word(hp.min_value)} to {_word(listed[-1] if listed else hp.max_value)}{step}{scale}"


def _word(value: Scalar) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
