"""What holds for every space."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import spaces as s
from spaces import baseline, differences, fill, fingerprint, flatten, from_json, resolve, to_json
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
@given(SPACES, SPACES, st.sampled_from(FIELDS))
def test_the_fingerprint_tells_two_values_of_one_field_apart(space: s.Space, other: s.Space, field: str):
    """Spaces that differ in one field have equal fingerprints if and only if the field's values are equal."""
    changed = replace(space, **{field: getattr(other, field)})
    equal = changed == space
    assert (fingerprint(changed) == fingerprint(space)) == equal
    assert (differences(to_json(changed), to_json(space)) == []) == equal


@pytest.mark.parametrize(
    "wrong", [{"record": "Nothing"}, {"parameter": "Int"}, {}, {"parameter": "Choice", "options": 3}]
)
def test_a_wrong_canonical_form_is_refused(wrong: dict[str, Any]):
    """`from_json` never returns something that is not a space."""
    with pytest.raises(s.SpaceError):
        from_json(wrong)
