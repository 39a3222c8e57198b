"""`Custom`: a network from the user's own function."""

import traceback
from typing import Any

import keras
from keras import layers

from spaces.backbones import Custom
from spaces.errors import ModelError
from spaces.space import Recipe
from studies.models.memory import is_out_of_memory
from studies.models.outputs import ends_in


def custom_outputs(record: Custom, recipe: Recipe, images: Any, units: int) -> Any:
    """What the user's network makes of images (n, height, width, channels) from 0 to 255: (n, units).

    Raises:
        ModelError: The function fails, or what it returns is not a network from such images to such outputs.
    """
    network = _build(record, recipe, tuple(images.shape[1:]), units)
    if record.rescale:
        images = layers.Rescaling(1 / 255, name="rescaling")(images)
    outputs = _apply(record, network, images)
    _check_outputs(record, network, outputs, units)
    return outputs


def _build(record: Custom, recipe: Recipe, input_shape: tuple[int, ...], units: int) -> keras.Model:
    try:
        network = record.build(recipe, input_shape, units)
    except ModelError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise ModelError(f"{_name(record)} failed{_place(record, error)} with {_told(error)}") from error
    if not isinstance(network, keras.Model):
        raise ModelError(f"{_name(record)} must return a keras.Model, got {network!r}")
    return network


def _apply(record: Custom, network: keras.Model, images: Any) -> Any:
    try:
        return network(images)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise ModelError(
            f"{_name(record)} returned a model that does not take images of shape {tuple(images.shape[1:])}: "
            f"{_told(error)}"
        ) from error


def _check_outputs(record: Custom, network: keras.Model, outputs: Any, units: int) -> None:
    shape = getattr(outputs, "shape", None)
    if shape is None or tuple(shape[1:]) != (units,):
        got = f"of shape {tuple(shape)}" if shape is not None else f"in a {type(outputs).__name__}"
        raise ModelError(
            f"{_name(record)} must return a model with outputs of shape (n, {units}), got outputs {got}: "
            "end it with Dense(outputs)"
        )
    if units == 1 and ends_in(network, "softmax"):
        raise ModelError(f"{_name(record)} ends in a softmax over one output, which is always 1: use a sigmoid")


def _name(record: Custom) -> str:
    return f"model: {getattr(record.build, '__name__', repr(record.build))}()"


def _told(error: BaseException) -> str:
    """The error's type and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _place(record: Custom, error: BaseException) -> str:
    """The last line of the user's own file that the error came through."""
    own = getattr(getattr(record.build, "__code__", None), "co_filename", None)
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == own]
    return f" in {own}, line {lines[-1].lineno}," if lines else ""
