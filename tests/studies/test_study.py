"""How a space is searched."""

import pytest

from spaces.errors import SpaceError
from studies import Study
from studies.study import seconds, valid_name


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90), (90, 90), ("90s", 90), ("30m", 1800), ("1h30m", 5400), ("1.5 h", 5400), ("1d", 86400)],
)
def test_durations_are_read_as_people_write_them(text, expected):
    """A duration is a number with units, which may be strung together."""
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "soon", "-5m", "0", "5 parsecs", True, float("nan"), float("inf")])
def test_what_is_no_duration_is_refused(text):
    """A timeout is longer than 0 and has known units."""
    with pytest.raises(SpaceError, match="timeout"):
        seconds(text)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("trials", 0),
        ("trials", 2.5),
        ("trials", True),
        ("sampler", "bayes"),
        ("pruner", "x"),
        ("seed", -1),
        ("name", "a/b"),
    ],
)
def test_a_wrong_field_is_named(field, value):
    """Every field is checked when the record is made, and the message names it."""
    with pytest.raises(SpaceError, match=field):
        Study(**{field: value})


@pytest.mark.parametrize("name", ["digits", "été-2", "a.b_c", "写真"])
def test_names_may_be_in_any_language(name):
    """A study's name is made of letters, digits, '-', '_' and '.'."""
    assert valid_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "a/b", "-x", "a\n", "x" * 101])
def test_names_that_are_no_folder_are_refused(name):
    """A study's name is also a folder's."""
    assert not valid_name(name)
