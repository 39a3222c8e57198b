"""Copies a user's network into the form that is exported: plain Keras, float32, nothing random."""

import warnings
from functools import cache
from typing import Any

import keras
from keras import layers

from spaces.errors import ModelError
from studies.models.out_of_memory import is_out_of_memory
from studies.models.precision import precision, to_float32
from studies.models.user_code import user_error

CUSTOM_LAYER_RULES = (
    "custom layers must accept **kwargs in __init__ and pass them to super().__init__, return every argument from "
    "get_config(), and be decorated with @keras.saving.register_keras_serializable()"
)
"""Requirements for a layer that can be saved and loaded."""

_MAX_REASON_LENGTH = 160

_KERAS_FUNCTIONS = {"softmax_v2": "softmax", "log_softmax_v2": "log_softmax", "swish": "silu"}
"""TensorFlow's names of functions, such as `tf.nn.softmax`, and Keras' names of the same functions."""


def plain_copy(name: str, network: keras.Model) -> keras.Model:
    """Return an uncompiled copy with new weights, in which random layers are replaced by the identity.

    The network itself is marked as not compiled.

    A subclass of `Model` with its own `call`, which Keras cannot take apart, is returned unchanged.

    Raises:
        ModelError: A layer cannot be copied.
    """
    if not is_graph(network):
        network.compiled = False
        return network
    with precision("float32"):
        return _copy_model(name, network)


def is_graph(network: keras.Model) -> bool:
    """Return True if Keras knows the layers of a network and how they are connected."""
    return isinstance(network, (keras.Sequential, _functional_class()))


def _copy_model(name: str, network: keras.Model) -> keras.Model:
    # Keras would compile the copy too, and fail on a custom loss.
    network.compiled = False
    if isinstance(network, _functional_class()) and type(network) is not _functional_class():
        # A subclass may have its own training step, which an export does not need.
        network = keras.Model(network.input, network.output, name=network.name)
    return keras.models.clone_model(network, clone_function=lambda layer: _copy_layer(name, layer))


def _copy_layer(name: str, layer: Any) -> Any:
    if isinstance(layer, keras.Model) and is_graph(layer):
        return _copy_model(name, layer)
    if type(layer).__name__.startswith("Rand"):
        return layers.Identity(name=layer.name)
    try:
        with warnings.catch_warnings():
            # Keras warns about a lambda at length before it refuses it.
            warnings.simplefilter("ignore")
            return layer.__class__.from_config(_with_keras_functions(to_float32(layer.get_config())))
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise ModelError(not_exportable_message(name, layer, user_error(error))) from error


def _with_keras_functions(config: Any) -> Any:
    """Return a layer's configuration with Keras functions in place of TensorFlow functions that Keras cannot load."""
    if isinstance(config, list | tuple):
        return [_with_keras_functions(each) for each in config]
    if not isinstance(config, dict):
        return config
    if config.get("class_name") == "function" and config.get("config") in _KERAS_FUNCTIONS:
        return _KERAS_FUNCTIONS[config["config"]]
    return {key: _with_keras_functions(value) for key, value in config.items()}


def not_exportable_message(name: str, layer: Any, reason: str) -> str:
    """Return the message for a layer that cannot be saved and loaded."""
    reason = reason if len(reason) <= _MAX_REASON_LENGTH else f"{reason[: _MAX_REASON_LENGTH - 3]}..."
    what = f"{name} uses the layer {layer.name!r} ({type(layer).__name__}), which cannot be exported"
    if isinstance(layer, layers.Lambda):
        return (
            f"{what}: plain Keras does not load Python code\nhint: use a Keras layer such as Rescaling, operations of "
            "keras.ops in a functional model, or a registered custom layer"
        )
    if isinstance(layer, keras.Model):
        return (
            f"{what}: a subclass of keras.Model is code\nhint: build it with keras.Model(inputs, outputs) or Sequential"
        )
    if type(layer).__module__.startswith("keras."):
        return f"{what} ({reason})\nhint: pass it Keras functions by name, or registered functions, not lambdas"
    return f"{what} ({reason})\nhint: {CUSTOM_LAYER_RULES}"


@cache
def _functional_class() -> Any:
    """Return the class of functional models, which has no public name in Keras."""
    inputs = keras.Input((1,))
    return type(keras.Model(inputs, inputs))
