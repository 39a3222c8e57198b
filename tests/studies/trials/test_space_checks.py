"""What is checked before the first trial without building a model."""

import keras
import pytest

from spaces import Choice, Digits, Space
from spaces.errors import ModelError
from studies.trials.space_checks import precision_of_file


@pytest.fixture
def set_policy():
    """Sets Keras' global policy as the top of a space file does."""
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy("float32")


def test_a_policy_of_the_space_file_counts_as_its_precision(set_policy):
    """It is used for every trial, since Keras forgets it after the first, and reported."""
    set_policy("mixed_bfloat16")
    precision, [notice] = precision_of_file(Space(data=Digits()))
    assert precision == "mixed_bfloat16"
    assert "used as Space(precision='mixed_bfloat16')" in notice
    assert keras.config.dtype_policy().name == "float32"


def test_the_precision_of_the_space_counts_more(set_policy):
    """What the space says is not replaced, and a policy without effect is reported."""
    set_policy("mixed_bfloat16")
    choice = Choice("float32", "mixed_float16")
    assert precision_of_file(Space(data=Digits(), precision=choice)) == (
        choice,
        ("Keras' global policy mixed_bfloat16 has no effect: Space(precision=...) overrides it.",),
    )


def test_no_policy_is_no_news():
    """Without a policy the space's precision is used."""
    assert precision_of_file(Space(data=Digits())) == ("float32", ())


def test_another_type_of_numbers_is_refused(set_policy):
    """A space has no such precision."""
    set_policy("float16")
    with pytest.raises(ModelError, match="dtype policy to float16"):
        precision_of_file(Space(data=Digits()))
