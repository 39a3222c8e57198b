"""Trains a recipe and builds the model to export: a hypermodel as KerasTuner would, any other recipe with `train`."""

import keras

from spaces.keras_tuner import KerasTunerModel
from spaces.space import Recipe
from studies.features.eligibility import is_linear
from studies.features.training_inputs import TrainingInputs
from studies.models.build import inference_model
from studies.models.outputs import returns_logits, to_probabilities
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
    if is_linear(recipe):
        from studies.training.linear_head import train_linear

        return train_linear(recipe, inputs, options)
    return train(recipe, inputs, options)


def inference_model_of(
    recipe: Recipe, trained: keras.Model, image_shape: tuple[int, int, int], classes: int
) -> keras.Model:
    """Return the model to export: `inference_model`, also of a hypermodel.

    Raises:
        ModelError: The user's code gave another model this time.
    """
    if is_linear(recipe) and recipe.augment is None:
        # The trained model is the whole network already, but for the last activation.
        outputs = to_probabilities(trained.output) if returns_logits(trained) else trained.output
        return keras.Model(trained.input, outputs, name="classifier")
    record = recipe.model
    if not isinstance(record, KerasTunerModel):
        return inference_model(recipe, trained, image_shape, classes)
    from studies.keras_tuner.models import hypermodel_outputs

    return inference_model(
        recipe, trained, image_shape, classes, outputs=lambda images: hypermodel_outputs(record, images, classes)
    )
