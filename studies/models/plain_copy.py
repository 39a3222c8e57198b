"""Copies a network of the user's own into the form that is exported: plain Keras, float32, nothing random."""

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
    "layers of your own take **kwargs in __init__ and pass them to super().__init__, return every argument from "
    "get_config(), and are decorated with @keras.saving.register_keras_serializable()"
)
"""What a layer needs to be saved and loaded."""

_MAX_REASON_LENGTH = 160

_KERAS_FUNCTIONS = {"softmax_v2": "softmax", "log_softmax_v2": "log_softmax", "swish": "silu"}
"""Names that TensorFlow gives its functions, such as `tf.nn.softmax`, and Keras' names for the same."""


def plain_copy(name: str, network: keras.Model) -> keras.Model:
    """An uncompiled copy with fresh weights, in which layers that change images at random leave them as they are.

    A network that Keras cannot take apart, a subclass of `Model` with a `call` of its own, is returned as it is.

    Args:
        name: What the network is called in messages.
        network: The network, built; it counts as not compiled afterwards.

    Raises:
        ModelError: A layer cannot be copied.
    """
    if not is_graph(network):
        network.compiled = False
        return network
    with precision("float32"):
        return _copy_model(name, network)


def is_graph(network: keras.Model) -> bool:
    """Whether Keras knows the layers of a network and how they are connected."""
    return isinstance(network, (keras.Sequential, _functional_class()))


def _copy_model(name: str, network: keras.Model) -> keras.Model:
    # Keras would compile the copy too, and fails for a loss of the user's own.
    network.compiled = False
    if isinstance(network, _functional_class()) and type(network) is not _functional_class():
        # A subclass has training steps of its own, of which an export needs nothing.
        network = keras.Model(network.input, network.output, name=network.name)
    return keras.models.clone_model(network, clone_function=lambda layer: _copy_layer(name, layer))


def _copy_layer(name: str, layer: Any) -> Any:
    if isinstance(layer, keras.Model) and is_graph(layer):
        return _copy_model(name, layer)
    if type(layer).__name__.startswith("Rand"):
        return layers.Identity(name=layer.name)
    try:
        with warnings.catch_warnings():
            # Keras warns of a lambda in many lines, and then refuses it.
            warnings.simplefilter("ignore")
            return layer.__class__.from_config(_with_keras_functions(to_float32(layer.get_config())))
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise ModelError(not_exportable_message(name, layer, user_error(error))) from error


def _with_keras_functions(config: Any) -> Any:
    """A layer's configuration in which functions of TensorFlow that Keras cannot load are its own of the same kind."""
    if isinstance(config, list | tuple):
        return [_with_keras_functions(each) for each in config]
    if not isinstance(config, dict):
        return config
    if config.get("class_name") == "function" and config.get("config") in _KERAS_FUNCTIONS:
        return _KERAS_FUNCTIONS[config["config"]]
    return {key: _with_keras_functions(value) for key, value in config.items()}


def not_exportable_message(name: str, layer: Any, reason: str) -> str:
    """What to do about a layer that cannot be saved and loaded again."""
    reason = reason if len(reason) <= _MAX_REASON_LENGTH else f"{reason[: _MAX_REASON_LENGTH - 3]}..."
    what = f"{name} uses the layer {layer.name!r} ({type(layer).__name__}), which cannot be exported"
    if isinstance(layer, layers.Lambda):
        return (
            f"{what}, since plain Keras loads no Python code: use a layer of Keras such as Rescaling, operations of "
            "keras.ops in a functional model, or a registered layer of your own"
        )
    if isinstance(layer, keras.Model):
        return f"{what}: a subclass of keras.Model is code: build it with keras.Model(inputs, outputs) or Sequential"
    if type(layer).__module__.startswith("keras."):
        return f"{what} ({reason}): pass it functions of Keras by name, or registered ones, not lambdas"
    return f"{what} ({reason}): {CUSTOM_LAYER_RULES}"


@cache
def _functional_class() -> Any:
    """The class of functional models, which Keras does not name in public."""
    inputs = keras.Input((1,))
    return type(keras.Model(inputs, inputs))
