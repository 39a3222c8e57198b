"""Int, Float and Choice on their own."""

import pickle

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
def test_a_default_is_derived_when_none_is_given(parameter, default):
    """Every parameter has a default: the middle, the geometric middle, or the first option."""
    assert parameter.default == default
    assert parameter.contains(parameter.default)


@pytest.mark.parametrize("parameter", [Int(1, 9, default=4), Float(0.1, 0.9, step=0.2), Choice(1, 3, big=5, default=3)])
def test_a_parameter_survives_repr_and_pickle(parameter):
    """A parameter's `repr` makes it again, and it can be sent to another process."""
    assert eval(repr(parameter)) == parameter
    assert pickle.loads(pickle.dumps(parameter)) == parameter


def test_steps_carry_no_binary_noise():
    """The values under a step are the decimal numbers that a reader expects."""
    assert Float(0.0, 0.1 + 0.2, step=0.1) == Float(0.0, 0.3, step=0.1)
    assert Float(0.0, 0.7, step=0.1).values() == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    assert Float(-0.3, 0.3, step=0.1).values()[3] == 0.0
    assert Float(0.0, 0.3, step=0.1).contains(0.1 + 0.2 - 1e-12)
    assert Float(0.0, 0.3, step=0.1).exact(0.1 + 0.1 + 0.1 - 1e-16) == 0.3


def test_large_ranges_are_counted_without_listing_them():
    """Counting costs nothing, however many values there are."""
    assert Int(0, 2**53).count == 2**53 + 1
    assert Float(0.0, 1.0, step=1e-9).count == 10**9 + 1


def test_negative_zero_is_zero():
    """-0.0 equals 0.0 and so is stored as it."""
    assert repr(Float(-0.0, 1.0)) == repr(Float(0.0, 1.0))


def test_numpy_scalars_become_plain_python():
    """Neither the database nor JSON knows NumPy's scalars."""
    space = Space(
        Digits(),
        epochs=Int(np.int64(3), np.int32(9), default=np.int64(4)),
        dropout=Float(np.float32(0.0), np.float64(0.5)),
        batch_size=Choice(np.int64(16), np.int64(32), default=np.int64(32)),
        patience=np.int64(7),
    )
    plain = Space(
        Digits(),
        epochs=Int(3, 9, default=4),
        dropout=Float(0.0, 0.5),
        batch_size=Choice(16, 32, default=32),
        patience=7,
    )
    assert repr(space) == repr(plain)
    assert all(type(name) is int for name in space.batch_size.names)


def test_an_option_of_one_type_is_not_an_equal_one_of_another():
    """True is not 1: a value read from the database must be the option itself."""
    assert not Choice(1, 2).contains(True)
    assert not Choice(1, 2).contains(1.0)
    assert not Int(0, 5).contains(True)
    assert not Float(0, 5).contains(True)


@pytest.mark.parametrize(
    ("epochs", "message"),
    [
        (Int(5, 3), "epochs: low must not be above high, got low=5 and high=3"),
        (Int(1, 10, step=4), "epochs: step=4 does not reach high=10 from low=1: use high=9"),
        (Int(1, 10, step=0), "epochs: step must be at least 1, got 0"),
        (Int(0, 10, log=True), "epochs: log needs low above 0, got low=0"),
        (Int(1, 10, step=3, log=True), "epochs: log and step exclude each other: give one of them"),
        (Int(1, 10, default=11), r"epochs: default=11 is not one of its values: Int\(1, 10, default=11\)"),
        (Int(1, 9, step=4, default=2), "epochs: default=2 is not one of its values"),
        (Int(1, 10, default=2.0), "epochs: default=2.0 is not one of its values"),
        (Int("1", 10), "epochs: low must be a whole number, got '1'"),
        (Int(True, 10), "epochs: low must be a whole number, got True"),
        (Int(1, 3.0), "epochs: high must be a whole number, got 3.0"),
        (Int(1, 10**20), r"epochs: high must be at most 2\*\*53"),
        (Int(1, 10**400), r"epochs: high must be at most 2\*\*53"),
        (Int(1, 10, log="yes"), "epochs: log must be True or False, got 'yes'"),
        (Int(0, 10), "epochs: must be a whole number of at least 1 or None, got 0"),
        (Float(1, 10), "epochs: must be a whole number of at least 1 or None, got Float"),
        (Choice(), r"epochs: Choice\(\) has no options"),
        (Choice(3, 5, 3), "epochs: options 3 and 3 are equal"),
        (Choice(3, 5, defualt=5), "epochs: options 5 and 'defualt' are equal"),
        (Choice(3, 3.0), "epochs: option 3.0 stands twice"),
        (Choice(1, True), "epochs: option True stands twice"),
        (Choice(3, 5, default=7), "epochs: default=7 is not one of its options: 3, 5"),
        (Choice(3, "5"), "epochs: must be a whole number of at least 1 or None, got '5'"),
        (Choice(3, float("nan")), "epochs: an option must be finite, got nan"),
        (Choice(3, Int(4, 5)), "epochs: an option of a Choice cannot be a parameter itself"),
        (Choice(3, Choice(4, 5)), "epochs: an option of a Choice cannot be a parameter itself"),
        (Choice(3, [4]), r"epochs: must be a whole number of at least 1 or None, got \[4\]"),
        (Choice(3, np.zeros(2)), r"epochs: must be a whole number of at least 1 or None, got array\(\[0., 0.\]\)"),
        (Choice(**{"a b": 3}), "epochs: an option's name must be a name in Python, got 'a b'"),
        (Choice(**{"a.b": 3}), "epochs: an option's name must be a name in Python, got 'a.b'"),
        (Choice(3, "\ud800"), "epochs: an option must be text that can be printed"),
        (Choice(3, "a\0"), "epochs: an option must be text that can be printed"),
    ],
)
def test_a_wrong_parameter_is_told_with_its_dotted_name(epochs, message):
    """A parameter that makes no sense fails with the rule, what was received and what to do."""
    with pytest.raises(SpaceError, match=f"^{message}"):
        Space(Digits(), epochs=epochs)


@pytest.mark.parametrize(
    ("dropout", "message"),
    [
        (Float(0.5, 0.1), "dropout: low must not be above high, got low=0.5 and high=0.1"),
        (Float(0, 0.5, log=True), "dropout: log needs low above 0, got low=0.0"),
        (Float(0.1, 0.5, step=0.1, log=True), "dropout: log and step exclude each other"),
        (Float(0, 0.5, step=0.2), "dropout: step=0.2 does not reach high=0.5 from low=0.0: use high=0.4"),
        (Float(0, 0.5, step=0), "dropout: step must be a number above 0, got 0.0"),
        (Float(0, 0.5, step=1e-300), "dropout: step=1e-300 makes more than 1e9 values"),
        (Float(0, 0.5, step=True), "dropout: step must be a number above 0, got True"),
        (Float(0, 0.5, default=0.6), "dropout: default=0.6 is not one of its values"),
        (Float(0, 0.5, step=0.1, default=0.25), "dropout: default=0.25 is not one of its values"),
        (Float(0, float("inf")), "dropout: high must be a finite number, got inf"),
        (Float(float("nan"), 1), "dropout: low must be a finite number, got nan"),
        (Float(0, 10**400), "dropout: high must be a finite number, got 1000"),
        (Float(0, 0.99), "dropout: must be a number from 0 to 0.95, got 0.99"),
        (Choice(0.1, True), "dropout: must be a number from 0 to 0.95, got True"),
        (Choice(0, 0.0), "dropout: options 0.0 and 0.0 are equal"),
    ],
)
def test_a_wrong_real_parameter_is_told_with_its_dotted_name(dropout, message):
    """The same for real numbers."""
    with pytest.raises(SpaceError, match=f"^{message}"):
        Space(Digits(), dropout=dropout)


def test_missing_bounds_are_told():
    """A constructor that lacks an argument says which."""
    with pytest.raises(SpaceError, match=r"^Int\(\.\.\.\): needs high"):
        Int(3)
    with pytest.raises(SpaceError, match=r"^Float\(steps=\.\.\.\): there is no such field: did you mean step\?"):
        Float(0, 1, steps=0.1)
