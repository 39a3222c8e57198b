"""Trains a recipe and builds the model to export: a hypermodel as KerasTuner would, any other recipe with `train`."""

import keras

from spaces.keras_tuner import KerasTunerModel
from spaces.space import Recipe
from studies.features.training_inputs import TrainingInputs
from studies.models.build import inference_model
from studies.training.fit import train
from studies.training.options import TrainingOptions
from studies.training.result import TrainingResult


def train_recipe(recipe: Recipe, inputs: TrainingInputs, options: TrainingOptions) -> TrainingResult:
    """Train a recipe, whatever builds its network; the arguments are those of `train`.

    Raises:
        ModelError: The recipe cannot be built.
    """
    if isinstance(recipe.model, KerasTunerModel):
        # KerasTuner is imported only where it is used.
        from studies.keras_tuner.fit import train_hypermodel

        return train_hypermodel(recipe, inputs, options)
    return train(recipe, inputs, options)


def inference_model_of(
    recipe: Recipe, trained: keras.Model, image_shape: tuple[int, int, int], classes: int
) -> keras.Model:
    """Return the model to export: `inference_model`, also of a hypermodel.

    Raises:
        ModelError: The user's code gave another model this time.
    """
    record = recipe.model
    if not isinstance(record, KerasTunerModel):
        return inference_model(recipe, trained, image_shape, classes)
    from studies.keras_tuner.models import hypermodel_outputs

    return inference_model(
        recipe, trained, image_shape, classes, outputs=lambda images: hypermodel_outputs(record, images, classes)
    )
