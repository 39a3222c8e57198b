"""Builds a trial's model with the weights that were kept of it."""

import logging
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from spaces.keras_tuner import KerasTunerModel
from spaces.space import Recipe
from studies.backend.quiet import quiet_keras
from studies.features.inputs import TrainingInputs

logger = logging.getLogger(__name__)


def model_with(
    weights: Sequence[np.ndarray], recipe: Recipe, prepared: TrainingInputs, classes: int, folder: Path
) -> keras.Model | None:
    """The model that a trial trained, not compiled; None where the weights do not fit.

    Args:
        weights: As `get_weights` gave them.
        recipe: The trial's recipe.
        prepared: What it trained on.
        classes: Number of classes.
        folder: Where relative paths of weights start.

    Raises:
        ModelError: The recipe cannot be built.
    """
    shape = prepared.train.images.shape[1:]
    if isinstance(recipe.model, KerasTunerModel):
        # KerasTuner is imported only where it is used.
        from studies.keras_tuner.models import connected_network

        model = connected_network(recipe.model, shape, classes)
    else:
        model = prepared.build(recipe, shape, classes, folder=folder)
    try:
        with quiet_keras():
            model.set_weights(weights)
    except ValueError as error:
        logger.warning(
            "The weights that were kept of the best trial do not fit its model: %s", str(error).splitlines()[0]
        )
        return None
    return model
