"""The built-in spaces."""

import ast

import pytest

from spaces import CNN, Adam, Constant, baseline, resolve
from spaces.files import EXAMPLES, built_in, load


@pytest.mark.parametrize("name", built_in())
def test_a_built_in_space_loads_and_opens_with_the_command_that_runs_it(name):
    """Every example is a complete space that says how it is run."""
    docstring = ast.get_docstring(ast.parse((EXAMPLES / f"{name}.py").read_text()))
    assert docstring.splitlines()[0] == f"search run {name}"
    space = load(name).space
    assert resolve(space, baseline(space)).epochs >= 1


def test_the_cifar10_baseline_is_the_tutorial_model():
    """The gain over the baseline is a gain over what beginners write."""
    space = load("cifar10").space
    recipe = resolve(space, baseline(space))
    assert recipe.backbone == CNN(32, 1, padding="valid", batch_norm=False, dense_units=64)
    assert (recipe.augment, recipe.dropout, recipe.schedule, recipe.optimizer) == (None, 0.0, Constant(), Adam())
    assert (recipe.learning_rate, recipe.batch_size, recipe.epochs) == (1e-3, 128, 10)
