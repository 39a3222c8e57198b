"""Builds a trial's model with the weights that were kept of it."""

import logging
from collections.abc import Sequence

import keras
import numpy as np

from spaces.keras_tuner import KerasTunerModel
from spaces.space import Recipe
from studies.backend.quiet import quiet_keras
from studies.features.inputs import TrainingInputs

logger = logging.getLogger(__name__)


def build_with_weights(weights: Sequence[np.ndarray], recipe: Recipe, inputs: TrainingInputs) -> keras.Model | None:
    """Return the model that a trial trained, not compiled; None where the weights do not fit.

    Args:
        weights: As `get_weights` gave them.
        recipe: The trial's recipe.
        inputs: What it trained on.

    Raises:
        ModelError: The recipe cannot be built.
    """
    if isinstance(recipe.model, KerasTunerModel):
        # KerasTuner is imported only where it is used.
        from studies.keras_tuner.models import connected_network

        model = connected_network(recipe.model, inputs.train.images.shape[1:], inputs.classes)
    else:
        model = inputs.build_model(recipe)
    try:
        with quiet_keras():
            model.set_weights(weights)
    except ValueError as error:
        logger.warning(
            "The weights that were kept of the best trial do not fit its model: %s", str(error).splitlines()[0]
        )
        return None
    return model
