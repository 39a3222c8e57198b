"""Checks the first network that custom code builds, before the first trial."""

from dataclasses import replace

import keras
import numpy as np

from spaces.backbones import Custom
from spaces.errors import ModelError
from spaces.keras_tuner import KerasTunerModel
from spaces.parameters import Choice
from spaces.space import Recipe, Space, baseline, resolve
from studies.data.dataset import Dataset
from studies.models.custom import build_network, display_name
from studies.models.exportable import (
    check_exportable,
    custom_objects,
    different_outputs_message,
    inference_outputs,
    is_close,
)
from studies.models.outputs import count_logits, probabilities_of, returns_logits
from studies.models.precision import non_float32_policy, precision
from studies.models.rescaling import is_rescaled, rescales_itself
from studies.trials.recipe_training import inference_model_of

_COMPARED_IMAGES = 3


def check_first_model(space: Space, dataset: Dataset, *, export: bool = True) -> tuple[str, ...]:
    """Build the network of the baseline, if custom code builds it, and try the steps of training and export.

    Returns:
        Notices for the user, one sentence each.

    Raises:
        ModelError: No trial could train or export such a network.
    """
    if space.model is None:
        return ()
    options = space.model.options if isinstance(space.model, Choice) else (space.model,)
    notices = [_check(replace(space, model=option), dataset, export) for option in options]
    return tuple(dict.fromkeys(notice for each in notices for notice in each))


def _check(space: Space, dataset: Dataset, export: bool) -> list[str]:
    """Check the network of a space with one function that builds it."""
    recipe = resolve(space, baseline(space))
    shape, classes = dataset.image_shape, len(dataset.classes)
    try:
        with precision(recipe.precision):
            recipe, name, network, notice = _build(recipe, shape, classes)
        notices = [notice] if notice else []
        notices += _pixel_notices(recipe.model, name, network, shape)
        if export:
            notices += _check_export(recipe, name, network, shape, classes)
        return notices
    finally:
        keras.utils.clear_session(free_memory=False)


def _build(recipe: Recipe, shape: tuple[int, int, int], classes: int) -> tuple[Recipe, str, keras.Model, str | None]:
    """Return the recipe, the name of its network for messages, the network, and a notice about its loss."""
    if isinstance(recipe.model, KerasTunerModel):
        # KerasTuner is imported only where it is used.
        from studies.keras_tuner.compiled import build_first_network

        return build_first_network(recipe, shape, classes)
    return recipe, display_name(recipe.model), build_network(recipe.model, recipe, shape, count_logits(classes)), None


def _pixel_notices(
    record: Custom | KerasTunerModel, name: str, network: keras.Model, shape: tuple[int, ...]
) -> list[str]:
    rescales = rescales_itself(name, network, shape)
    if rescales and record.rescale is None:
        return [
            f"{name} rescales its own input: images reach it from 0 to 255. "
            f"To divide them by 255 before, pass rescale=True to {type(record).__name__}(...)."
        ]
    if rescales and record.rescale:
        return [f"{name} rescales its own input, and rescale=True divides images by 255 before: check it."]
    if record.rescale is False and not rescales and not _normalizes(network):
        return [f"{name} does not rescale its input, and rescale=False passes pixels from 0 to 255: check it."]
    return []


def _normalizes(network: keras.Model) -> bool:
    """Return True if the first layer with weights is a normalization, which takes any range."""
    first = next((layer for layer in network._flatten_layers(include_self=False) if layer.weights), None)
    return "Normalization" in type(first).__name__


def _check_export(
    recipe: Recipe, name: str, network: keras.Model, shape: tuple[int, int, int], classes: int
) -> list[str]:
    """Return notices after comparing the network with its inference model, before and after it is saved and loaded.

    Raises:
        ModelError: The network cannot be exported.
    """
    images = np.random.default_rng(0).uniform(0, 255, (_COMPARED_IMAGES, *shape)).astype(np.float32)
    policy = non_float32_policy(network)
    given = images / 255 if is_rescaled(name, network, recipe.model.rescale, shape) else images
    before = _probabilities(name, network, given)
    exported = inference_model_of(recipe, network, shape, classes)
    after = inference_outputs(name, exported, images)
    if not is_close(before, after, policy):
        if not is_close(before, _probabilities(name, network, given), None):
            raise ModelError(
                f"{name} returns a model that answers differently each time, so it cannot be exported\n"
                "hint: call no layer with training=True"
            )
        raise ModelError(different_outputs_message(name))
    check_exportable(name, exported, images)
    notices = []
    if policy:
        notices.append(f"{name} computes in {policy}; the exported model has the same weights and computes in float32.")
    if own := custom_objects(exported):
        notices.append(
            f"The exported model.keras holds code of your own ({', '.join(own)}): import it before "
            "keras.models.load_model. saved_model needs no Python code."
        )
    return notices


def _probabilities(name: str, network: keras.Model, images: np.ndarray) -> np.ndarray:
    """Return the outputs of a network as probabilities.

    Raises:
        ModelError: They are probabilities already, from code that is not known as such.
    """
    outputs = inference_outputs(name, network, images)
    if not returns_logits(network):
        return outputs
    if outputs.shape[1] > 1 and outputs.min() >= 0 and np.allclose(outputs.sum(axis=1), 1, atol=1e-3):
        raise ModelError(
            f"{name} returns probabilities from code of its own, which search would take for logits\n"
            "hint: end with activation='softmax' or layers.Softmax()"
        )
    return probabilities_of(network, outputs)
