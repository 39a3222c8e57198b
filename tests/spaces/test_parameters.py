"""Int, Float and Choice on their own."""

import pickle
import re

import numpy as np
import pytest

from spaces import CNN, Digits, Space, SpaceError
from spaces.parameters import Choice, Float, Int


@pytest.mark.parametrize(
    ("parameter", "default"),
    [
        (Int(2, 4), 3),
        (Int(16, 64, step=16), 32),
        (Int(1, 100, log=True), 10),
        (Int(5, 5), 5),
        (Float(0.0, 0.6), 0.3),
        (Float(1e-5, 1e-1, log=True), 1e-3),
        (Float(0.0, 0.3, step=0.1), 0.1),
        (Choice(3, 5), 3),
        (Choice(CNN(), None), "cnn"),
    ],
)
def test_defaults_are_derived(parameter, default):
    """The default is the middle, the geometric middle, or the first option."""
    assert parameter.default == default
    assert parameter.contains(parameter.default)


@pytest.mark.parametrize("parameter", [Int(1, 9, default=4), Float(0.1, 0.9, step=0.2), Choice(1, 3, big=5, default=3)])
def test_parameters_survive_repr_and_pickle(parameter):
    """A parameter's `repr` makes it again, and it can be sent to another process."""
    assert eval(repr(parameter)) == parameter
    assert pickle.loads(pickle.dumps(parameter)) == parameter


def test_values_under_a_step_are_decimal():
    """The values are those that a reader expects, without rounding noise or a negative zero."""
    assert repr(Float(-0.0, 1.0)) == repr(Float(0.0, 1.0))
    assert Float(0.0, 0.1 + 0.2, step=0.1) == Float(0.0, 0.3, step=0.1)
    assert Float(0.0, 0.7, step=0.1).values() == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    assert Float(-0.3, 0.3, step=0.1).values()[3] == 0.0
    assert Float(0.0, 0.3, step=0.1).contains(0.1 + 0.2 - 1e-12)
    assert Float(0.0, 0.3, step=0.1).exact(0.1 + 0.1 + 0.1 - 1e-16) == 0.3


def test_large_ranges_are_counted_without_listing_them():
    """Counting takes no time, even for 2**53 values."""
    assert (Int(0, 2**53).count, Float(0.0, 1.0, step=1e-9).count) == (2**53 + 1, 10**9 + 1)


def test_numpy_scalars_become_plain_python():
    """The database and JSON do not take NumPy scalars."""

    def made(whole, real):
        fields = {"epochs": Int(whole(3), whole(9), default=whole(4)), "dropout": Float(real(0.0), real(0.5))}
        return Space(Digits(), **fields, batch_size=Choice(whole(16), whole(32), default=whole(32)), patience=whole(7))

    assert repr(made(np.int64, np.float32)) == repr(made(int, float))
    assert all(type(name) is int for name in made(np.int32, np.float64).batch_size.names)


def test_equal_values_of_other_types_are_not_contained():
    """True is not 1: a value from the database must be the option itself."""
    assert not any(parameter.contains(True) for parameter in (Choice(1, 2), Int(0, 5), Float(0, 5)))
    assert not Choice(1, 2).contains(1.0)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("epochs", Int(5, 3), "got low=5 and high=3, expected low to be at most high"),
        ("epochs", Int(1, 10, step=4), "step=4 does not reach high=10 from low=1\nhint: set high=9"),
        ("epochs", Int(1, 10, step=0), "got step=0, expected at least 1"),
        ("epochs", Int(0, 10, log=True), "got low=0 and log=True, expected low above 0"),
        ("epochs", Int(1, 10, step=3, log=True), "got both log and step"),
        ("epochs", Int(1, 10, default=11), "got default=11, expected a value of Int(1, 10, default=11)"),
        ("epochs", Int(1, 9, step=4, default=2), "got default=2, expected a value of"),
        ("epochs", Int(1, 10, default=2.0), "got default=2.0, expected a value of"),
        ("epochs", Int("1", 10), "got low='1', expected an integer"),
        ("epochs", Int(True, 10), "got low=True, expected an integer"),
        ("epochs", Int(1, 10**400), "got high=1000"),
        ("epochs", Int(1, 10, log="yes"), "got log='yes', expected True or False"),
        ("epochs", Int(0, 10), "got 0, expected an integer of at least 1 or None"),
        ("epochs", Float(1, 10), "got Float(1.0, 10.0, default=5.5), expected an integer"),
        ("epochs", Choice(), "Choice() has no options"),
        ("epochs", Choice(3, 5, 3), "options 3 and 3 are equal\nhint: remove one"),
        ("epochs", Choice(3, 5, defualt=5), "options 5 and 'defualt' are equal"),
        ("epochs", Choice(1, True), "option True is given twice\nhint: remove one, or name both"),
        ("epochs", Choice(3, 5, default=7), "got default=7, expected one of 3, 5"),
        ("epochs", Choice(3, "5"), "got '5', expected an integer"),
        ("epochs", Choice(3, float("nan")), "got the option nan, expected a finite number"),
        ("epochs", Choice(3, Choice(4, 5)), "got the option Choice(4, 5), but an option of a Choice cannot be"),
        ("epochs", Choice(3, np.zeros(2)), "got array([0., 0.]), expected an integer"),
        ("epochs", Choice(**{"a.b": 3}), "got the option name 'a.b', expected a Python name"),
        ("epochs", Choice(3, "a\0"), "got the option 'a\\x00', expected printable text"),
        ("epochs", Choice(3, "\ud800"), "got the option '\\ud800', expected printable text"),
        ("dropout", Float(0.5, 0.1), "got low=0.5 and high=0.1, expected low to be at most high"),
        ("dropout", Float(0, 0.5, log=True), "got low=0.0 and log=True, expected low above 0"),
        ("dropout", Float(0.1, 0.5, step=0.1, log=True), "got both log and step"),
        ("dropout", Float(0, 0.5, step=0.2), "step=0.2 does not reach high=0.5 from low=0.0\nhint: set high=0.4"),
        ("dropout", Float(0, 0.5, step=0), "got step=0.0, expected a number above 0"),
        ("dropout", Float(0, 0.5, step=True), "got step=True, expected a number above 0"),
        ("dropout", Float(0, 0.5, step=1e-300), "step=1e-300 makes more than 1e9 values"),
        ("dropout", Float(0, 0.5, step=0.1, default=0.25), "got default=0.25, expected a value of"),
        ("dropout", Float(0, float("inf")), "got high=inf, expected a finite number"),
        ("dropout", Float(float("nan"), 1), "got low=nan, expected a finite number"),
        ("dropout", Float(0, 0.99), "got 0.99, expected a number from 0 to 0.95"),
        ("dropout", Choice(0, 0.0), "options 0.0 and 0.0 are equal"),
        ("backbone", Choice(CNN(), CNN(filters=3)), "option 'cnn' is given twice"),
        ("backbone", Choice(a=CNN(), b=CNN()), "options 'a' and 'b' are equal"),
    ],
)
def test_errors_name_the_parameter_and_its_argument(field, value, message):
    """An impossible parameter is refused with the field's name, what was received and what to do."""
    with pytest.raises(SpaceError, match="^" + re.escape(f"{field}: {message}")):
        Space(Digits(), **{field: value})
