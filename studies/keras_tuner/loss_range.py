"""Checks that a compiled loss takes the output of the last layer: probabilities or logits."""

import inspect
import math
from typing import Any

import keras
import numpy as np

from spaces.errors import ModelError
from studies.keras_tuner.labels import compute_loss, label_format, predictions, single_loss
from studies.models.out_of_memory import is_out_of_memory
from studies.models.outputs import returns_logits


def check_range(name: str, network: keras.Model, outputs: int, columns: int) -> str | None:
    """Compare the last layer with the loss, if it is known what the loss takes; returns a notice for the user, or None.

    Raises:
        ModelError: The loss takes probabilities, but the last layer has neither a softmax nor a sigmoid.
    """
    takes_logits, logits = _takes_logits(single_loss(network.loss)), returns_logits(network)
    if takes_logits is None:
        takes_logits = _takes_logits_by_value(network, outputs, label_format(columns, outputs))
    activation = "sigmoid" if outputs == 1 else "softmax"
    if logits and takes_logits is False:
        raise ModelError(
            f"{name} returns a model without a {activation} at its end, but its loss takes probabilities\n"
            f"hint: end it with activation='{activation}', or pass from_logits=True to the loss"
        )
    if takes_logits and not logits:
        return f"{name}: the loss has from_logits=True, but the model ends in probabilities. Remove one of the two."
    return None


def _takes_logits(loss: Any) -> bool | None:
    """Return the value of `from_logits`; None for a loss without it."""
    try:
        loss = keras.losses.get(loss)
        if isinstance(loss, keras.losses.Loss):
            found = loss.get_config().get("from_logits")
        else:
            found = inspect.signature(loss).parameters["from_logits"].default
    except (ValueError, TypeError, KeyError, NotImplementedError):
        return None
    return found if isinstance(found, bool) else None


def _takes_logits_by_value(network: keras.Model, outputs: int, form: str) -> bool | None:
    """Return True for a cross entropy of logits, False for one of probabilities, None for any other loss."""
    labels, right, _ = predictions(form, outputs, logits=False)
    expected = -math.log(float(right.max()))
    logits = np.log(right / (1 - right)) if outputs == 1 else np.log(right)
    try:
        of_probabilities, of_logits = (compute_loss(network, labels, each) for each in (right, logits))
    except Exception as error:
        if is_out_of_memory(error):
            raise
        return None
    fits = [math.isclose(value, expected, rel_tol=1e-3) for value in (of_probabilities, of_logits)]
    return fits[1] if fits[0] != fits[1] else None
