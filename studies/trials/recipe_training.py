"""Trains a recipe and builds the model to export: a hypermodel as KerasTuner would, any other recipe with `train`."""

from collections.abc import Callable, Mapping
from typing import Any

import keras

from spaces.keras_tuner import KerasTunerModel
from spaces.scalars import Scalar
from spaces.space import Recipe
from studies.data.dataset import Split
from studies.models.build import inference_model
from studies.training.fit import train
from studies.training.result import TrainingResult


def train_recipe(
    recipe: Recipe,
    images: Split,
    validation: Split | None,
    *,
    classes: int,
    seed: int,
    epochs: int | None = None,
    second_epochs: int | None = None,
    ask: Callable[[Any], Scalar] | None = None,
    on_epoch: Callable[[int, Mapping[str, float]], bool] = lambda epoch, metrics: True,
    stop: Callable[[], bool] = lambda: False,
    on_steps: Callable[[Any, int], None] = lambda model, steps: None,
    judges: Callable[[int], bool] = lambda batches: False,
    on_total: Callable[[int], None] = lambda epochs: None,
    **ordinary: Any,
) -> TrainingResult:
    """Train a recipe, whatever builds its network.

    Args:
        recipe: What to train.
        images: The images to train on.
        validation: The images to measure the metric on, or None.
        classes: Number of classes.
        seed: As `train` takes it, like all arguments below without a text of their own.
        epochs: Epochs of the first phase.
        second_epochs: Epochs of the second phase.
        ask: Gives the value of a hyperparameter that the `fit` of a hypermodel meets; None for its default.
        on_epoch: Called with each whole epoch.
        stop: Asked whether to end at once.
        on_steps: Called after each execution of steps.
        judges: Says whether to measure one more batch of validation images.
        on_total: Called with the number of epochs when the `fit` of a hypermodel sets another one than the recipe.
        ordinary: Further arguments of `train`, which the training of a hypermodel does without.

    Raises:
        ModelError: The recipe cannot be built.
    """
    shared: dict[str, Any] = {
        "classes": classes,
        "seed": seed,
        "epochs": epochs,
        "second_epochs": second_epochs,
        "on_epoch": on_epoch,
        "stop": stop,
        "on_steps": on_steps,
        "judges": judges,
    }
    if isinstance(recipe.model, KerasTunerModel):
        # KerasTuner is imported only where it is used.
        from studies.keras_tuner.fit import train_hypermodel

        return train_hypermodel(recipe, images, validation, ask=ask, on_total=on_total, **shared)
    return train(recipe, images, validation, **shared, **ordinary)


def inference_model_of(
    recipe: Recipe, trained: keras.Model, image_shape: tuple[int, int, int], classes: int
) -> keras.Model:
    """The model to export: `inference_model`, also of a hypermodel.

    Args:
        recipe: The recipe that `trained` was built from.
        trained: The trained model.
        image_shape: (height, width, channels) of one image.
        classes: Number of classes.

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
