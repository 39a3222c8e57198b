"""Builds a model's last layers, from feature maps to logits, and tells logits from probabilities."""

from typing import Any

import keras
import numpy as np
from keras import layers

from spaces.errors import ModelError

_PROBABILITIES = ("sigmoid", "softmax")
_PASS_THROUGH = (layers.Flatten, layers.Reshape, layers.Identity, layers.Dropout, layers.Average)
_PASS_THROUGH_OPERATIONS = ("Cast", "Clip", "Squeeze", "Reshape")
"""Layers and operations that return probabilities if their inputs are probabilities."""


def count_logits(classes: int) -> int:
    """Return the number of logits for a number of classes: 1 for two classes, otherwise one per class.

    Raises:
        ModelError: There are fewer than two classes.
    """
    if classes < 2:
        raise ModelError(f"a classifier needs at least 2 classes, got {classes}")
    return 1 if classes == 2 else classes


def add_head(features: Any, pooling: str, dense_units: int, activation: str, dropout: float, units: int) -> Any:
    """Add pooling, an optional dense layer, dropout and the logits.

    Args:
        features: Feature maps (n, height, width, channels).
        pooling: `flatten`, `average` or `max`.
        dense_units: Units of the dense layer; 0 for none.
        activation: Activation of the dense layer.
        dropout: Fraction of values dropped before the last layer.
    """
    return add_dense_head(POOLINGS[pooling](name="pooling")(features), dense_units, activation, dropout, units)


def add_dense_head(hidden: Any, dense_units: int, activation: str, dropout: float, units: int) -> Any:
    """Add the layers after the pooling to vectors (n, values), such as cached features."""
    if dense_units:
        hidden = layers.Dense(dense_units, activation=activation, name="dense")(hidden)
    hidden = layers.Dropout(dropout, name="dropout")(hidden)
    return layers.Dense(units, dtype="float32", name="logits")(hidden)


def to_probabilities(outputs: Any) -> Any:
    """Return the sigmoid of a single logit (n, 1), or the softmax of several (n, classes), in float32."""
    final = "sigmoid" if outputs.shape[-1] == 1 else "softmax"
    return layers.Activation(final, dtype="float32", name="probability")(outputs)


def returns_logits(model: keras.Model) -> bool:
    """Return True if the model ends in neither a softmax nor a sigmoid, so that its loss must apply one."""
    return not all(_activation_name(operation) in _PROBABILITIES for operation in _last_operations(model))


def probabilities_of(model: keras.Model, outputs: Any) -> np.ndarray:
    """Return outputs of a model as probabilities (n, 1) or (n, classes), whether they are logits or not."""
    if returns_logits(model):
        outputs = keras.ops.sigmoid(outputs) if outputs.shape[-1] == 1 else keras.ops.softmax(outputs)
    return np.asarray(keras.ops.convert_to_numpy(outputs))


def ends_in(model: keras.Model, activation: str) -> bool:
    """Return True if the model's last layer has this activation."""
    return any(_activation_name(operation) == activation for operation in _last_operations(model))


def outputs_on_cpu(model: keras.Model, images: Any) -> np.ndarray:
    """Return a model's outputs for images (n, height, width, channels) in inference mode.

    Some GPUs round float32 products to ten bits, so the model runs on the CPU.
    """
    with keras.device("cpu:0"):
        return np.asarray(keras.ops.convert_to_numpy(model(images, training=False)))


def _activation_name(operation: Any) -> str:
    """Return the activation's name: of a layer, of the layer that it wraps, or of an activation operation."""
    activation = getattr(operation, "activation", None)
    if activation is None and isinstance(operation, layers.Wrapper):
        return _activation_name(operation.layer)
    named = getattr(activation, "__name__", "") if activation is not None else type(operation).__name__
    # TensorFlow's own softmax is called softmax_v2.
    return str(named).lower().removesuffix("_v2")


def _last_operations(model: keras.Model) -> list[Any]:
    """Return the operations that compute the outputs, skipping those that keep probabilities."""
    outputs = keras.tree.flatten(model.outputs) if getattr(model, "outputs", None) else []
    if outputs:
        return [operation for output in outputs for operation in _producers(output)]
    # Keras does not know how the layers of a Model subclass are connected.
    kept = [each for each in model.layers if not isinstance(each, _PASS_THROUGH) and not _is_linear(each)]
    last = kept[-1:]
    return _last_operations(last[0]) if last and isinstance(last[0], keras.Model) else last or [None]


def _producers(output: Any) -> list[Any]:
    """Return the operations that produce a symbolic output."""
    operation, node, index = output._keras_history
    if isinstance(operation, keras.Model):
        inner = keras.tree.flatten(operation.outputs) if getattr(operation, "outputs", None) else []
        return _producers(inner[index]) if inner else _last_operations(operation)
    inputs = operation._inbound_nodes[node].input_tensors
    is_keeping = isinstance(operation, _PASS_THROUGH) or type(operation).__name__ in _PASS_THROUGH_OPERATIONS
    if not inputs or not (is_keeping or _is_linear(operation)):
        return [operation]
    return [each for tensor in inputs for each in _producers(tensor)]


def _is_linear(operation: Any) -> bool:
    return isinstance(operation, layers.Activation) and getattr(operation.activation, "__name__", "") == "linear"


POOLINGS = {
    "flatten": layers.Flatten,
    "average": layers.GlobalAveragePooling2D,
    "max": layers.GlobalMaxPooling2D,
}
