"""Checks before the first trial that build no model."""

import keras
import pytest

from spaces import Choice, Digits, Space
from spaces.errors import ModelError
from studies.trials.space_checks import precision_of_file


@pytest.fixture
def set_policy():
    """Set Keras' global policy, as the top of a space file may do."""
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy("float32")


def test_global_policy_becomes_the_precision(set_policy):
    """It is used for every trial and reported."""
    set_policy("mixed_bfloat16")
    precision, [notice] = precision_of_file(Space(data=Digits()))
    assert precision == "mixed_bfloat16"
    assert "used as Space(precision='mixed_bfloat16')" in notice
    assert keras.config.dtype_policy().name == "float32"


def test_precision_of_the_space_overrides_the_policy(set_policy):
    """A policy without effect is reported."""
    set_policy("mixed_bfloat16")
    choice = Choice("float32", "mixed_float16")
    precision, [notice] = precision_of_file(Space(data=Digits(), precision=choice))
    assert precision == choice
    assert "mixed_bfloat16 has no effect" in notice


def test_precision_without_a_policy_is_not_reported():
    """The precision of the space is used."""
    assert precision_of_file(Space(data=Digits())) == ("float32", ())


def test_unsupported_policy_is_refused(set_policy):
    """A policy that is no precision of a space is an error."""
    set_policy("float16")
    with pytest.raises(ModelError, match="dtype policy to float16"):
        precision_of_file(Space(data=Digits()))
