"""Checks before the first trial that build no model."""

from dataclasses import replace

import keras
import pytest

from spaces import Choice, Digits, Space
from spaces.errors import ModelError
from studies.trials.space_checks import precision_of_file

SPACE = Space(data=Digits())
CHOICE = Choice("float32", "mixed_float16")


@pytest.fixture
def set_policy():
    """Set Keras' global policy, as the top of a space file may do."""
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize(
    ("policy", "space", "precision", "notice"),
    [
        ("mixed_bfloat16", SPACE, "mixed_bfloat16", "used as Space(precision='mixed_bfloat16')"),
        ("mixed_bfloat16", replace(SPACE, precision=CHOICE), CHOICE, "mixed_bfloat16 has no effect"),
        ("float32", SPACE, "float32", ""),
    ],
    ids=["policy", "space and policy", "neither"],
)
def test_global_policy_becomes_the_precision(set_policy, policy, space, precision, notice):
    """It is used for every trial unless the space has a precision, and reported."""
    set_policy(policy)
    found, notices = precision_of_file(space)
    assert (found, len(notices)) == (precision, bool(notice))
    assert notice in "".join(notices)
    assert keras.config.dtype_policy().name == "float32"


def test_unsupported_policy_is_refused(set_policy):
    """A policy that is no precision of a space is an error."""
    set_policy("float16")
    with pytest.raises(ModelError, match="dtype policy to float16"):
        precision_of_file(SPACE)
