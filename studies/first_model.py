"""Checks the first network that the user's own code builds, before the first trial."""

import keras

from spaces.backbones import Custom
from spaces.keras_tuner import KerasTunerModel
from spaces.space import Recipe, Space, baseline, resolve
from studies.data import Dataset
from studies.models.building import precision
from studies.models.custom import built_network, name_of
from studies.models.outputs import outputs_for
from studies.models.rescaling import rescales_itself


def check_first_model(space: Space, dataset: Dataset) -> tuple[str, ...]:
    """Build the baseline's network, if the user's code builds it, and say how it is fed.

    Args:
        space: The space.
        dataset: Its images.

    Returns:
        What the user should know, one sentence each.

    Raises:
        ModelError: No trial could train or export such a network.
    """
    recipe = resolve(space, baseline(space))
    if recipe.model is None:
        return ()
    try:
        with precision(recipe.precision):
            name, network = _network(recipe, dataset.image_shape, len(dataset.classes))
        return tuple(_about_pixels(recipe.model, name, network, dataset.image_shape))
    finally:
        keras.utils.clear_session(free_memory=False)


def _network(recipe: Recipe, shape: tuple[int, int, int], classes: int) -> tuple[str, keras.Model]:
    """What the network is called in messages, and the network as the user's code returns it."""
    if isinstance(recipe.model, KerasTunerModel):
        # KerasTuner is imported only where it is used.
        from studies.keras_tuner.training import first_network

        return first_network(recipe, shape, classes)
    return name_of(recipe.model), built_network(recipe.model, recipe, shape, outputs_for(classes))


def _about_pixels(
    record: Custom | KerasTunerModel, name: str, network: keras.Model, shape: tuple[int, ...]
) -> list[str]:
    rescales = rescales_itself(name, network, shape)
    if rescales and record.rescale is None:
        return [
            f"{name} rescales its own input: images reach it from 0 to 255. "
            f"To divide them by 255 before, pass rescale=True to {type(record).__name__}(...)."
        ]
    if rescales and record.rescale:
        return [f"{name} rescales its own input, and rescale=True divides images by 255 before: check it."]
    if record.rescale is False and not rescales and not _normalizes(network):
        return [f"{name} does not rescale its input, and rescale=False passes pixels from 0 to 255: check it."]
    return []


def _normalizes(network: keras.Model) -> bool:
    """Whether the first layer with weights is a normalization, which takes any range."""
    first = next((layer for layer in network._flatten_layers(include_self=False) if layer.weights), None)
    return "Normalization" in type(first).__name__
