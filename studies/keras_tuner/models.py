"""Builds the network of a hypermodel, for training and for the export."""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from spaces.errors import ModelError
from spaces.keras_tuner import KerasTunerModel
from studies.keras_tuner.hyperparameters import SuggestedHyperParameters, hyperparameters_for
from studies.models.outputs import count_logits
from studies.models.plain_copy import plain_copy
from studies.models.precision import restore_precision
from studies.models.rescaling import is_rescaled
from studies.models.user_code import apply_user_model, build_user_model, call_user_function, check_outputs, source_file


def build_network(record: KerasTunerModel, hp: SuggestedHyperParameters) -> keras.Model:
    """Return the network that the hypermodel builds, compiled or not.

    Raises:
        ModelError: `build` fails, or does not return a model.
    """
    _declare(record, hp)
    build = record.hypermodel if record.is_function else record.hypermodel.build
    return run_user_code(
        record, "build", hp, lambda: build_user_model(name_of(record), user_file(record), lambda: build(hp))
    )


def _declare(record: KerasTunerModel, hp: SuggestedHyperParameters) -> None:
    """Call `declare_hyperparameters` before the first `build`, as a tuner does."""
    if hp.declared is not None:
        return
    declare = None if record.is_function else getattr(record.hypermodel, "declare_hyperparameters", None)
    if callable(declare):
        run_user_code(record, "declare_hyperparameters", hp, lambda: declare(hp))
    hp.declared = frozenset(each.name for each in hp.space)


def connected_network(record: KerasTunerModel, image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """Return a new network of the hypermodel, built for images of this shape.

    Raises:
        ModelError: The hypermodel fails, or its network does not fit the images and classes.
    """
    network = build_network(record, hyperparameters_for(record, None))
    check_network(record, network, image_shape, classes)
    return network


def hypermodel_outputs(record: KerasTunerModel, images: Any, classes: int) -> Any:
    """Return the outputs of a new network for images (n, height, width, channels) from 0 to 255.

    The network is an uncompiled copy without random image layers, if Keras can copy it.

    Raises:
        ModelError: The hypermodel fails, or its network does not fit the images and classes.
    """
    shape = tuple(images.shape[1:])
    network = connected_network(record, shape, classes)
    if is_rescaled(name_of(record), network, record.rescale, shape):
        images = layers.Rescaling(1 / 255, name="rescaling")(images)
    return apply_user_model(name_of(record), plain_copy(name_of(record), network), images)


def check_network(record: KerasTunerModel, network: keras.Model, image_shape: tuple[int, ...], classes: int) -> int:
    """Check that a network takes the images and distinguishes the classes; return its number of outputs.

    Raises:
        ModelError: The network does not fit.
    """
    outputs = apply_user_model(name_of(record), network, keras.Input(image_shape, dtype="float32"))
    # Two classes need one sigmoid or a softmax over two outputs.
    check_outputs(name_of(record), network, outputs, tuple(dict.fromkeys((count_logits(classes), classes))))
    return int(outputs.shape[1])


def name_of(record: KerasTunerModel, method: str = "build") -> str:
    """Return the name of a hypermodel's method in messages."""
    return f"model: {record.name}()" if record.is_function else f"model: {record.name}.{method}()"


def user_file(record: KerasTunerModel, method: str = "build") -> str | None:
    """Return the user's file that defines a hypermodel's method."""
    hypermodel = record.hypermodel
    if not record.is_function:
        return source_file(getattr(type(hypermodel), method, None))
    return source_file(hypermodel) or source_file(type(hypermodel).__call__)


def run_user_code(
    record: KerasTunerModel, method: str, hp: SuggestedHyperParameters, function: Callable[[], Any]
) -> Any:
    """Return the result of the user's code; errors raised while asking for a value pass unchanged.

    Raises:
        ModelError: The user's code failed.
    """
    try:
        # A policy set by the user's code would affect all later trials.
        with restore_precision():
            return call_user_function(name_of(record, method), user_file(record, method), function)
    except ModelError:
        if hp.failure is not None:
            raise hp.failure from None
        raise
