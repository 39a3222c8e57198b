"""A model's last layers: from feature maps to one logit per class, and how to tell logits from probabilities."""

from typing import Any

import keras
from keras import layers

from spaces.errors import ModelError

_PROBABILITIES = ("sigmoid", "softmax")
_SHAPES_ONLY = (layers.Flatten, layers.Reshape, layers.Identity)


def outputs_for(classes: int) -> int:
    """How many logits tell so many classes apart: 1 for two.

    Raises:
        ModelError: There are fewer than two classes.
    """
    if classes < 2:
        raise ModelError(f"a classifier needs at least 2 classes, got {classes}")
    return 1 if classes == 2 else classes


def head(features: Any, pooling: str, dense_units: int, activation: str, dropout: float, units: int) -> Any:
    """Pooling, a dense layer if it has units, dropout, and the logits.

    Args:
        features: Feature maps (n, height, width, channels).
        pooling: `flatten`, `average` or `max`.
        dense_units: Units of the dense layer; 0 for none.
        activation: Of the dense layer.
        dropout: Share of values dropped before the last layer.
        units: Number of logits.
    """
    return classified(_POOLINGS[pooling](name="pooling")(features), dense_units, activation, dropout, units)


def classified(hidden: Any, dense_units: int, activation: str, dropout: float, units: int) -> Any:
    """The head after its pooling, over vectors (n, values): for what is trained on features."""
    if dense_units:
        hidden = layers.Dense(dense_units, activation=activation, name="dense")(hidden)
    hidden = layers.Dropout(dropout, name="dropout")(hidden)
    return layers.Dense(units, dtype="float32", name="logits")(hidden)


def probabilities(outputs: Any) -> Any:
    """The sigmoid of a single logit (n, 1), or the softmax of several (n, classes), in float32."""
    final = "sigmoid" if outputs.shape[-1] == 1 else "softmax"
    return layers.Activation(final, dtype="float32", name="probability")(outputs)


def gives_logits(model: keras.Model) -> bool:
    """Whether the model's last layer has neither a softmax nor a sigmoid, so that its loss must apply one."""
    last = _last_operation(model)
    if type(last).__name__.lower() in _PROBABILITIES:
        return False
    activation = getattr(last, "activation", None)
    return getattr(activation, "__name__", "linear") not in _PROBABILITIES


def ends_in(model: keras.Model, activation: str) -> bool:
    """Whether the model's last layer has this activation."""
    last = _last_operation(model)
    named = getattr(getattr(last, "activation", None), "__name__", "")
    return activation in (type(last).__name__.lower(), named)


def _last_operation(model: keras.Model) -> Any:
    for operation in reversed(getattr(model, "operations", model.layers)):
        if isinstance(operation, keras.Model):
            return _last_operation(operation)
        if not isinstance(operation, _SHAPES_ONLY) and not _is_linear(operation):
            return operation
    return None


def _is_linear(operation: Any) -> bool:
    return isinstance(operation, layers.Activation) and getattr(operation.activation, "__name__", "") == "linear"


_POOLINGS = {
    "flatten": layers.Flatten,
    "average": layers.GlobalAveragePooling2D,
    "max": layers.GlobalMaxPooling2D,
}
