"""Holds what a recipe is trained on: images, or cached features of a frozen backbone, and the model for them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from spaces.space import Recipe
from studies.data.dataset import Dataset, Split, concatenate
from studies.features.eligibility import IMAGES

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class TrainingInputs:
    """Data that a recipe is trained on, with its model.

    Args:
        train: Images, or features (n, units) or (n, views, units) of images, with their labels.
        validation: Validation split in the same form; None to train without validation.
        build: Builds the model to train.
        trained_on: `images`, `features` or `cached views`.
        classes: Number of classes.
        folder: Folder to which paths of weights are relative.
        units: Number of features of each network; empty for images.
    """

    train: Split
    validation: Split | None
    build: Callable[..., "keras.Model"]
    trained_on: str
    classes: int
    folder: Path
    units: tuple[int, ...] = ()

    @property
    def splits(self) -> tuple[Split, Split]:
        """Training and validation split.

        Raises:
            ValueError: There is no validation split.
        """
        if self.validation is None:
            raise ValueError("these inputs have no validation split")
        return self.train, self.validation

    @property
    def all_images(self) -> "TrainingInputs":
        """Inputs with both splits concatenated, to train without validation."""
        return replace(self, train=concatenate(*self.splits), validation=None)

    def build_model(self, recipe: Recipe) -> "keras.Model":
        """Return the model of a recipe, not compiled.

        Raises:
            ModelError: The recipe cannot be built.
        """
        return self.build(recipe, self.train.images.shape[1:], self.classes, folder=self.folder)


def image_inputs(dataset: Dataset, folder: Path) -> TrainingInputs:
    """Return the images themselves as training inputs."""
    from studies.models.build import build_model

    return TrainingInputs(dataset.train, dataset.validation, build_model, IMAGES, len(dataset.classes), folder)
