"""`Custom`: a network from the user's own function."""

from typing import Any

from keras import layers

from spaces.backbones import Custom
from spaces.space import Recipe
from studies.models.own_code import applied, check_outputs, file_of, network_from


def custom_outputs(record: Custom, recipe: Recipe, images: Any, units: int) -> Any:
    """What the user's network makes of images (n, height, width, channels) from 0 to 255: (n, units).

    Raises:
        ModelError: The function fails, or what it returns is not a network from such images to such outputs.
    """
    name = f"model: {getattr(record.build, '__name__', repr(record.build))}()"
    shape = tuple(images.shape[1:])
    network = network_from(name, file_of(record.build), lambda: record.build(recipe, shape, units))
    if record.rescale:
        images = layers.Rescaling(1 / 255, name="rescaling")(images)
    outputs = applied(name, network, images)
    check_outputs(name, network, outputs, (units,))
    return outputs
