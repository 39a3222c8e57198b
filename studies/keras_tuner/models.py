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
    """The network that the hypermodel builds, as it returns it: compiled or not.

    Raises:
        ModelError: It fails, or returns something else.
    """
    _declare(record, hp)
    build = record.hypermodel if record.is_function else record.hypermodel.build
    return run_user_code(
        record, "build", hp, lambda: build_user_model(name_of(record), own_file(record), lambda: build(hp))
    )


def _declare(record: KerasTunerModel, hp: SuggestedHyperParameters) -> None:
    """Let the hypermodel declare hyperparameters before its first `build`, as a tuner does."""
    if hp.declared is not None:
        return
    declare = None if record.is_function else getattr(record.hypermodel, "declare_hyperparameters", None)
    if callable(declare):
        run_user_code(record, "declare_hyperparameters", hp, lambda: declare(hp))
    hp.declared = frozenset(each.name for each in hp.space)


def connected_network(record: KerasTunerModel, image_shape: tuple[int, ...], classes: int) -> keras.Model:
    """A fresh network of the hypermodel, built for such images.

    Raises:
        ModelError: The hypermodel fails, or its network does not fit the images and classes.
    """
    network = build_network(record, hyperparameters_for(record, None))
    check_network(record, network, image_shape, classes)
    return network


def hypermodel_outputs(record: KerasTunerModel, images: Any, classes: int) -> Any:
    """What a fresh network makes of images (n, height, width, channels) from 0 to 255.

    The network is an uncompiled copy without the layers that change images at random, where Keras can copy it.

    Raises:
        ModelError: The hypermodel fails, or its network does not fit the images and classes.
    """
    shape = tuple(images.shape[1:])
    network = connected_network(record, shape, classes)
    if is_rescaled(name_of(record), network, record.rescale, shape):
        images = layers.Rescaling(1 / 255, name="rescaling")(images)
    return apply_user_model(name_of(record), plain_copy(name_of(record), network), images)


def check_network(record: KerasTunerModel, network: keras.Model, image_shape: tuple[int, ...], classes: int) -> int:
    """Make sure that a network takes the images and tells the classes apart; returns how many outputs it has.

    Raises:
        ModelError: It does not.
    """
    outputs = apply_user_model(name_of(record), network, keras.Input(image_shape, dtype="float32"))
    # Two classes are told apart by one sigmoid or by a softmax over two.
    check_outputs(name_of(record), network, outputs, tuple(dict.fromkeys((count_logits(classes), classes))))
    return int(outputs.shape[1])


def name_of(record: KerasTunerModel, method: str = "build") -> str:
    """What a hypermodel's method is called in messages."""
    return f"model: {record.name}()" if record.is_function else f"model: {record.name}.{method}()"


def own_file(record: KerasTunerModel, method: str = "build") -> str | None:
    """The file in which the user wrote a hypermodel's method."""
    hypermodel = record.hypermodel
    if not record.is_function:
        return source_file(getattr(type(hypermodel), method, None))
    return source_file(hypermodel) or source_file(type(hypermodel).__call__)


def run_user_code(
    record: KerasTunerModel, method: str, hp: SuggestedHyperParameters, function: Callable[[], Any]
) -> Any:
    """What the user's code returns; an error that arose while asking for a value passes as it is.

    Raises:
        ModelError: The user's code failed.
    """
    try:
        # A policy that the user's code sets would change every later trial.
        with restore_precision():
            return call_user_function(name_of(record, method), own_file(record, method), function)
    except ModelError:
        if hp.failure is not None:
            raise hp.failure from None
        raise
