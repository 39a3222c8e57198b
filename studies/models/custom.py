"""Builds `Custom`: a network from the user's own function."""

from contextlib import nullcontext
from typing import Any

import keras
from keras import layers

from spaces.backbones import Custom
from spaces.space import Recipe
from studies.models.plain_copy import plain_copy
from studies.models.precision import restore_precision
from studies.models.rescaling import is_rescaled
from studies.models.user_code import apply_user_model, build_user_model, check_outputs, ensure_built, source_file


def custom_outputs(record: Custom, recipe: Recipe, images: Any, units: int, *, plain: bool = False) -> Any:
    """Return the outputs (n, units) of the user's network for images (n, height, width, channels) from 0 to 255.

    Args:
        plain: Whether to use a copy of the network in the form that is exported.

    Raises:
        ModelError: The function fails, or does not return a network from such images to such outputs.
    """
    name, shape = display_name(record), tuple(images.shape[1:])
    with restore_precision() if plain else nullcontext():
        network = build_network(record, recipe, shape, units)
    if is_rescaled(name, network, record.rescale, shape):
        images = layers.Rescaling(1 / 255, name="rescaling")(images)
    outputs = apply_user_model(name, plain_copy(name, network) if plain else network, images)
    check_outputs(name, network, outputs, (units,))
    return outputs


def build_network(record: Custom, recipe: Recipe, shape: tuple[int, ...], units: int) -> keras.Model:
    """Return the network that the user's function builds, with its weights.

    Raises:
        ModelError: The function fails, or does not return a network for images of this shape.
    """
    name = display_name(record)
    network = build_user_model(name, source_file(record.build), lambda: record.build(recipe, shape, units))
    return ensure_built(name, network, shape)


def display_name(record: Custom) -> str:
    """Return the name of the user's function in messages."""
    return f"model: {record.function_name}()"
