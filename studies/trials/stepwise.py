"""The `stepwise` sampler: changes one parameter at a time, always from the best trial so far."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from spaces.parameters import Parameter, Scalar
from spaces.space import Space, SpaceParameter, fill, flatten
from studies.database.stored_trials import key_of


@dataclass(frozen=True)
class Step:
    """One change of an assignment.

    Args:
        slot: Name of a parameter without the options that it depends on, so that it stays the same when another option
            with such a parameter is selected: `backbone.head.views` for `backbone.mobilenetv2.head.views`.
        value: Value of the parameter after the step.
    """

    slot: str
    value: Scalar


def steps(space: Space) -> list[Step]:
    """Return the steps of a space: every value of every finite parameter but its default, in the order of the space."""
    found = [
        Step(_slot(each), value)
        for each in flatten(space)
        for value in each.parameter.values() or ()
        if value != each.parameter.default
    ]
    return list(dict.fromkeys(found))


def next_assignment(
    space: Space, number: int, best: Mapping[str, Scalar], tried: Collection[str]
) -> dict[str, Scalar] | None:
    """Return the assignment of a trial: the best one so far with one step, or None if all steps were tried from it.

    Args:
        space: The space.
        number: Number of the trial: trial 1 takes the first step. Later steps follow, then earlier ones.
        best: Assignment of the best trial so far.
        tried: Keys of the assignments that other trials have.
    """
    every = steps(space)
    for step in [*every[number - 1 :], *every[: number - 1]]:
        found = _apply(space, step, best)
        if found is not None and key_of(found) not in tried:
            return found
    return None


def _apply(space: Space, step: Step, base: Mapping[str, Scalar]) -> dict[str, Scalar] | None:
    """Return an assignment with one step; None if its parameter does not exist under the other values."""
    slots = {each.name: _slot(each) for each in flatten(space)}
    values = {slots[name]: value for name, value in base.items() if name in slots}
    changed: dict[str, Scalar] = {}
    taken = False

    def choose(name: str, parameter: Parameter) -> Scalar:
        nonlocal taken
        slot = slots[name]
        value = values.get(slot, parameter.default)
        if slot == step.slot and parameter.contains(step.value):
            value, taken = step.value, True
        changed[name] = value if parameter.contains(value) else parameter.default
        return changed[name]

    fill(space, choose)
    return changed if taken else None


def _slot(parameter: SpaceParameter) -> str:
    name = parameter.name
    for choice, option in reversed(parameter.conditions):
        name = name.replace(f"{choice}.{option}.", f"{choice}.", 1)
    return name
