"""What holds for every space."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import spaces as s
from spaces import baseline, differences, fill, fingerprint, flatten, from_json, resolve, to_json
from spaces.parameters import PARAMETERS, Choice, Float, Int
from spaces.records import Record
from tests.spaces.strategies import SPACES, values

FIELDS = [field for field in s.Space(s.Digits()).children() if field != "model"]
# Building a space takes many small draws, which Hypothesis takes for slowness on a busy machine.
quick = settings(max_examples=40, suppress_health_check=list(HealthCheck))


def sampled(space: s.Space, data: st.DataObject) -> tuple[dict[str, Any], s.Recipe]:
    assignment: dict[str, Any] = {}

    def choose(name: str, parameter: Any) -> Any:
        assignment[name] = data.draw(values(parameter), label=name)
        return assignment[name]

    return assignment, fill(space, choose)


@quick
@given(SPACES, st.data())
def test_resolving_an_assignment_gives_the_recipe_it_was_sampled_as(space: s.Space, data: st.DataObject):
    """A flat assignment, through JSON, stands for exactly one recipe, which has no parameters."""
    assignment, recipe = sampled(space, data)
    stored = json.loads(json.dumps(assignment))
    assert resolve(space, stored) == recipe
    assert flatten(recipe) == []
    assert fingerprint(resolve(space, stored)) == fingerprint(recipe)


@quick
@given(SPACES, st.data())
def test_a_sampled_assignment_has_exactly_the_parameters_whose_conditions_hold(space: s.Space, data: st.DataObject):
    """`flatten` names every parameter once and says when it exists."""
    assignment, _ = sampled(space, data)
    parameters = flatten(space)
    taken = [each for each in parameters if all((n, o) in assignment.items() for n, o in each.conditions)]
    assert [each.name for each in taken] == list(assignment)
    assert len({each.name for each in parameters}) == len(parameters)
    assert all(each.parameter.contains(assignment[each.name]) for each in taken)


@quick
@given(SPACES)
def test_the_baseline_is_a_valid_assignment(space: s.Space):
    """Every parameter has a default that it can take."""
    assert flatten(resolve(space, baseline(space))) == []


@quick
@given(SPACES)
def test_a_space_survives_json_repr_and_hashing(space: s.Space):
    """The canonical form, through text, and the `repr` both make an equal space; it can be hashed."""
    assert from_json(json.loads(json.dumps(to_json(space)))) == space
    assert eval(repr(space), vars(s)) == space
    assert isinstance(hash(space), int)


@quick
@given(SPACES)
def test_the_fingerprint_does_not_depend_on_the_spelling(space: s.Space):
    """Whole numbers for floats, lists, paths and NumPy scalars mean the same as their plain forms."""
    again = respelled(space)
    assert fingerprint(again) == fingerprint(space)
    assert differences(to_json(again), to_json(space)) == []


@quick
@given(SPACES, SPACES, st.sampled_from(FIELDS))
def test_the_fingerprint_tells_two_values_of_one_field_apart(space: s.Space, other: s.Space, field: str):
    """Spaces that differ in one field have equal fingerprints if and only if the field's values are equal."""
    changed = replace(space, **{field: getattr(other, field)})
    equal = changed == space
    assert (fingerprint(changed) == fingerprint(space)) == equal
    assert (differences(to_json(changed), to_json(space)) == []) == equal


@quick
@given(SPACES, st.data())
def test_the_fingerprint_tells_every_change_of_a_parameter(space: s.Space, data: st.DataObject):
    """A parameter with another default, one value less, or a fixed value in its place is another space."""
    parameters = flatten(space)
    assume(parameters)
    drawn = data.draw(st.sampled_from(parameters))
    for parameter in neighbours(drawn.parameter):
        try:
            changed = edited(space, "", drawn.name, parameter)
        except s.SpaceError as error:
            if "are equal" in str(error):  # the change made two options of a choice the same
                continue
            raise
        assert fingerprint(changed) != fingerprint(space)
        assert any(drawn.name in line for line in differences(to_json(space), to_json(changed)))


@pytest.mark.parametrize(
    "wrong", [{"record": "Nothing"}, {"parameter": "Int"}, {}, {"parameter": "Choice", "options": 3}]
)
def test_a_wrong_canonical_form_is_refused(wrong: dict[str, Any]):
    """`from_json` never returns something that is not a space."""
    with pytest.raises(s.SpaceError):
        from_json(wrong)


def respelled(value: Any) -> Any:
    """The same space in other words."""
    if isinstance(value, Record):
        children = value.children().items()
        return type(value)(**{name: respelled_value(child, rule.kind) for name, (child, rule) in children})
    return value


def respelled_value(value: Any, kind: str) -> Any:
    if isinstance(value, Choice):
        options = [respelled_value(option, kind) for option in value.options]
        if all(isinstance(option, str | int | float | tuple | None) for option in value.options):
            default = value.options[value.names.index(value.default)]
            return Choice(*options, default=respelled_value(default, kind))
        return Choice.of(value.names, options, value.default)
    if isinstance(value, Int):
        return Int(np.int64(value.low), value.high, np.int32(value.step), value.log, value.default)
    if isinstance(value, Float):
        return Float(lean(value.low), np.float64(value.high), value.step, value.log, lean(value.default))
    if kind == "real" and isinstance(value, float):
        return lean(value)
    if kind == "size" and isinstance(value, int):
        return [value, value]
    if kind == "path" and isinstance(value, str):
        return Path(value)
    return list(value) if isinstance(value, tuple) else respelled(value)


def lean(value: float | None) -> Any:
    """A whole number where a float is one."""
    return int(value) if value is not None and value.is_integer() else value


def neighbours(parameter: Any) -> list[Any]:
    """Parameters that differ from this one in a single respect."""
    if isinstance(parameter, Choice):
        found = [Choice.of(parameter.names, parameter.options, name) for name in parameter.names]
        found.append(parameter.option(parameter.default))
    else:
        defaults = [parameter.low, parameter.high]
        found = [replace(parameter, default=default) for default in defaults]
        found.append(parameter.default)
    return [each for each in found if each != parameter]


def edited(value: Any, prefix: str, name: str, new: Any) -> Any:
    """The tree with another value at a dotted name."""
    if prefix == name:
        return new
    if isinstance(value, Record):
        fields = {field: child for field, (child, _) in value.children().items()}
        dotted = {field: f"{prefix}.{field}".lstrip(".") for field in fields}
        return value.with_children(
            {f: edited(fields[f], dotted[f], name, new) for f in fields if inside(dotted[f], name)}
        )
    assert isinstance(value, PARAMETERS)
    options = [
        edited(option, f"{prefix}.{known}", name, new) if inside(f"{prefix}.{known}", name) else option
        for known, option in zip(value.names, value.options, strict=True)
    ]
    return Choice.of(value.names, options, value.default)


def inside(prefix: str, name: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")
