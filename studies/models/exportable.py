"""Saves and loads a model as the export will, so that a model that cannot be exported fails before the search."""

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from spaces.errors import ModelError
from studies.backend.quiet import quiet_keras
from studies.models.out_of_memory import is_out_of_memory
from studies.models.plain_copy import CUSTOM_LAYER_RULES, not_exportable_message
from studies.models.user_code import apply_user_model, user_error

MAX_COMPARED_WEIGHTS = 1_000_000
"""A larger model is saved and loaded without its weights, which would take seconds."""

MAX_DIFFERENCE = 1e-4
MAX_HALF_PRECISION_DIFFERENCE = 0.1
"""Maximum difference of probabilities between a half-precision model and its export, which computes in float32."""


def check_exportable(name: str, model: keras.Model, images: np.ndarray) -> None:
    """Check that Keras can save and load an inference model, and that the loaded model gives the same outputs.

    The images are (k, height, width, channels) float32 from 0 to 255.

    Raises:
        ModelError: The model cannot be saved or loaded, or its outputs differ.
    """
    try:
        loaded = _save_and_load(model)
    except Exception as error:
        if is_out_of_memory(error) or isinstance(error, OSError):
            raise
        culprit = _find_unserializable(model)
        if culprit is None:
            raise ModelError(
                f"{name} returns a model that cannot be exported ({_short(error)})\nhint: {CUSTOM_LAYER_RULES}"
            ) from error
        raise ModelError(not_exportable_message(name, culprit[0], user_error(culprit[1]))) from error
    if loaded is not None and not is_close(
        inference_outputs(name, model, images), inference_outputs(name, loaded, images), None
    ):
        raise ModelError(different_outputs_message(name))


def is_close(before: np.ndarray, after: np.ndarray, policy: str | None) -> bool:
    """Return True if a float32 copy of a network of this precision, None for float32, gives the same probabilities."""
    if policy is None:
        return bool(np.abs(before - after).max() <= MAX_DIFFERENCE)
    # Random weights may give values that are too large for half precision.
    return bool(not np.isfinite(before).all() or np.abs(before - after).max() <= MAX_HALF_PRECISION_DIFFERENCE)


def different_outputs_message(name: str) -> str:
    """Return the message for a model whose copy gives other outputs."""
    return f"{name} returns a model that cannot be exported: its copy gives other outputs\nhint: {CUSTOM_LAYER_RULES}"


def inference_outputs(name: str, model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Return the outputs of a model in inference mode.

    Raises:
        ModelError: The model fails on these images.
    """
    # The export runs on the CPU too, since some GPUs round float32 products to ten bits.
    with keras.device("cpu:0"):
        outputs = apply_user_model(name, model, keras.ops.convert_to_tensor(images), training=False)
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(outputs, "float32")))


def custom_objects(model: keras.Model) -> list[str]:
    """Return the names of the user's registered classes and functions that must be imported to load a model."""
    registered = keras.saving.get_custom_objects()
    return sorted({name.split(">")[-1] for name in registered_names(model.get_config()) if name in registered})


def _save_and_load(model: keras.Model) -> keras.Model | None:
    """Return the model after a round trip to disk; None for a large model, of which only the structure is rebuilt."""
    with quiet_keras(), warnings.catch_warnings():
        # Keras warns about a lambda before it refuses to load it.
        warnings.simplefilter("ignore")
        if model.count_params() > MAX_COMPARED_WEIGHTS:
            keras.models.model_from_json(model.to_json())
            return None
        with tempfile.TemporaryDirectory(prefix="search-") as folder:
            path = Path(folder) / "model.keras"
            model.save(path)
            return keras.models.load_model(path)


def _find_unserializable(model: keras.Model) -> tuple[Any, Exception] | None:
    """Return the first layer that cannot be rebuilt from its configuration, and the error."""
    found = None
    for layer in model._flatten_layers(include_self=False):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
        except Exception as error:  # noqa: BLE001 - any error means that this is the layer to name
            # A nested model fails because of one of its layers, which comes later.
            found = layer, error
            if not isinstance(layer, keras.Model):
                return found
    return found


def _short(error: Exception) -> str:
    text = user_error(error)
    return text if len(text) <= 160 else f"{text[:157]}..."


def registered_names(config: Any) -> Iterator[str]:
    """Yield the registered names of all classes and functions in a model's configuration."""
    if isinstance(config, dict):
        if isinstance(name := config.get("registered_name"), str):
            yield name
        config = list(config.values())
    if isinstance(config, list | tuple):
        for each in config:
            yield from registered_names(each)
