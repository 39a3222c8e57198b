"""Builds a trial's model with its saved weights."""

import logging
from collections.abc import Sequence

import keras
import numpy as np

from spaces.keras_tuner import KerasTunerModel
from spaces.space import Recipe
from studies.backend.quiet import quiet_keras
from studies.features.training_inputs import TrainingInputs

logger = logging.getLogger(__name__)


def build_with_weights(weights: Sequence[np.ndarray], recipe: Recipe, inputs: TrainingInputs) -> keras.Model | None:
    """Return the uncompiled model of a trial with its saved weights; None if they do not fit.

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
        logger.warning("the saved weights of the best trial do not fit its model: %s", str(error).splitlines()[0])
        return None
    return model
