"""Builds a recipe's Keras models: one for training, and one for inference that returns probabilities."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import keras

from spaces.backbones import CNN, Branches, Custom, Pretrained
from spaces.errors import ModelError
from spaces.records import Record
from spaces.registry import look_up
from spaces.space import Recipe
from studies.backend.quiet import quiet_keras
from studies.models.augmentation import augmentation_layers
from studies.models.branches import branches_outputs
from studies.models.cnn import convolutional_outputs
from studies.models.custom import custom_outputs
from studies.models.outputs import count_logits, returns_logits, to_probabilities
from studies.models.precision import precision
from studies.models.pretrained import pretrained_outputs
from studies.models.weights import refresh_normalization

Outputs: TypeAlias = Callable[[Any], Any]
"""Returns the outputs for images (n, height, width, channels)."""


def build_model(
    recipe: Recipe,
    image_shape: tuple[int, int, int],
    classes: int,
    *,
    folder: Path | None = None,
    seed: int | None = None,
) -> keras.Model:
    """Build the uncompiled model that a recipe trains.

    The same seed of `keras.utils.set_random_seed` before the call gives the same weights and random changes.

    Args:
        image_shape: (height, width, channels) of one image.
        classes: Number of classes, at least 2.
        folder: Folder to which the path of a weights file is relative; None for the working directory.
        seed: Seed of the augmentation; None uses Keras' global seed.

    Returns:
        A model from raw images (n, height, width, channels), 0 to 255, to float32 logits: (n, 1) for two classes,
        (n, classes) for more. If the recipe or a `Custom` model says so, it returns probabilities instead; see
        `returns_logits`.

    Raises:
        ModelError: The recipe cannot be built for such images, or its weights are missing or do not fit.
    """
    images = keras.Input(image_shape, dtype="float32", name="image")
    changed: Any = images
    with precision("float32"):
        for layer in augmentation_layers(recipe.augment, seed):
            changed = layer(changed)
    with precision(recipe.precision):
        outputs = finish_model(recipe, images, _outputs(recipe, changed, classes, load=True, folder=folder))
        return keras.Model(images, outputs, name="classifier")


def finish_model(recipe: Recipe, inputs: Any, outputs: Any) -> Any:
    """Return the outputs of a model for training in float32, as logits or as probabilities if the recipe asks so."""
    if not recipe.from_logits and returns_logits(keras.Model(inputs, outputs)):
        return to_probabilities(outputs)
    if outputs.dtype != "float32":
        return keras.layers.Activation("linear", dtype="float32", name="float32")(outputs)
    return outputs


def build_inference_model(
    recipe: Recipe, image_shape: tuple[int, int, int], classes: int, outputs: Outputs | None = None
) -> keras.Model:
    """Build a model with the same weights as `build_model`, newly initialised, that returns probabilities.

    It computes in float32 and has no augmentation. Keras saves and loads it without custom objects, unless a
    `Custom` model has some.

    Args:
        image_shape: (height, width, channels) of one image.
        classes: Number of classes, at least 2.
        outputs: Returns the outputs for images (n, height, width, channels), instead of the recipe's own network.

    Returns:
        A model from raw images (n, height, width, channels), 0 to 255, to the probability of the second class
        (n, 1) for two classes, or of each class (n, classes) for more.

    Raises:
        ModelError: The recipe cannot be built for such images.
    """
    images = keras.Input(image_shape, dtype="float32", name="image")
    with precision("float32"):
        made = outputs(images) if outputs else _outputs(recipe, images, classes, load=False, folder=None)
        if returns_logits(keras.Model(images, made)):
            made = to_probabilities(made)
        return keras.Model(images, made, name="classifier")


def inference_model(
    recipe: Recipe,
    trained: keras.Model,
    image_shape: tuple[int, int, int],
    classes: int,
    outputs: Outputs | None = None,
) -> keras.Model:
    """Build the model of `build_inference_model` with a copy of the weights of `trained`, a model of `build_model`.

    Raises:
        ModelError: The recipe's `build` function returned another model than before.
    """
    model = build_inference_model(recipe, image_shape, classes, outputs)
    try:
        with quiet_keras():
            model.set_weights(trained.get_weights())
    except ValueError as error:
        raise ModelError(
            "model: build() returned weights of other shapes than those of the trained model\n"
            "hint: build() must depend on its arguments only"
        ) from error
    refresh_normalization(model)
    return model


def _outputs(recipe: Recipe, images: Any, classes: int, *, load: bool, folder: Path | None) -> Any:
    record = recipe.model if recipe.backbone is None else recipe.backbone
    make = look_up(NETWORKS, type(record), "model" if recipe.backbone is None else "backbone", ModelError)
    return make(record, recipe, images, count_logits(classes), load=load, folder=folder)


NETWORKS: Mapping[type[Record], Callable[..., Any]] = {
    CNN: lambda record, recipe, images, units, **_: convolutional_outputs(record, images, recipe.dropout, units),
    Branches: lambda record, recipe, images, units, **_: branches_outputs(record, images, recipe.dropout, units),
    Pretrained: lambda record, recipe, images, units, **loading: pretrained_outputs(
        record, images, recipe.dropout, units, **loading
    ),
    Custom: lambda record, recipe, images, units, load, **_: custom_outputs(
        record, recipe, images, units, plain=not load
    ),
}
"""The networks by their records, each from a symbolic batch of images to its outputs.

They are called with `load`, whether to load pretrained weights, and `folder`, where the relative path of a file starts.
"""
