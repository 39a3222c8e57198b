"""Number of epochs of a recipe, over the phases of its training."""

from typing import Any

from spaces.backbones import Pretrained
from spaces.parameters import Choice, Int
from spaces.space import Recipe, Space, records_in
from spaces.training import FineTune
from studies.features.eligibility import is_linear


def second_phase(recipe: Recipe) -> FineTune | None:
    """Return the second phase of a recipe, which only a `Pretrained` backbone has, or None."""
    return recipe.fine_tune if isinstance(recipe.backbone, Pretrained) else None


def total_epochs(recipe: Recipe) -> int:
    """Return the maximum number of epochs of a recipe, both phases together."""
    if is_linear(recipe):
        return 1
    second = second_phase(recipe)
    return recipe.epochs + (second.epochs if second else 0)


def max_epochs(space: Space) -> int:
    """Return the largest number of epochs of any recipe of the space."""
    second = [max_value(record.epochs) for record in records_in(space.fine_tune) if isinstance(record, FineTune)]
    is_possible = any(isinstance(record, Pretrained) for record in records_in(space.backbone))
    return max_value(space.epochs) + (max(second, default=0) if is_possible else 0)


def max_value(value: Any) -> int:
    """Return the largest value of an integer field."""
    if isinstance(value, Int):
        return value.high
    return max(value.options) if isinstance(value, Choice) else int(value)
