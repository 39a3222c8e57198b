"""Trains a recipe on images in memory, with everything else as usual."""

from pathlib import Path
from typing import Any

from spaces import Space
from studies.data.dataset import Split
from studies.features.eligibility import IMAGES
from studies.features.inputs import TrainingInputs
from studies.models.build import build_model
from studies.training.options import TrainingOptions
from studies.training.result import TrainingResult
from studies.trials.recipe_training import train_recipe


def fit(
    recipe: Space,
    images: Split,
    validation: Split | None = None,
    *,
    classes: int = 2,
    seed: int = 1,
    folder: Path = Path(),
    build: Any = build_model,
    **options: Any,
) -> TrainingResult:
    """Train a recipe; `options` are those of `TrainingOptions`."""
    inputs = TrainingInputs(images, validation, build, IMAGES, classes, folder)
    return train_recipe(recipe, inputs, TrainingOptions(seed, **options))
