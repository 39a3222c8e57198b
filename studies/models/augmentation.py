"""Builds the Keras layers of `Augment`, which change images from 0 to 255 in training only."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from keras import layers

from spaces.training import Augment

VALUE_RANGE = (0.0, 255.0)

# Repeating the border looks more natural than black corners, and keeps a uniform background uniform.
FILL = "nearest"


def augmentation_layers(augment: Augment | None, seed: int | None = None) -> list[Any]:
    """Return the random layers in the order flip, rotation, translation, zoom, contrast, brightness.

    Args:
        augment: The changes; None for no layers.
        seed: Seed of the first layer, incremented for each further layer; None uses Keras' global seed.
    """
    if augment is None:
        return []
    seeds = iter([None] * len(LAYERS) if seed is None else range(seed, seed + len(LAYERS)))
    amounts = {kind: amount for kind in LAYERS if (amount := getattr(augment, kind))}
    return [LAYERS[kind](amount, seed=next(seeds), name=f"augment_{kind}") for kind, amount in amounts.items()]


LAYERS: Mapping[str, Callable[..., Any]] = {
    "flip": lambda mode, **more: layers.RandomFlip("horizontal_and_vertical" if mode == "both" else mode, **more),
    "rotation": partial(layers.RandomRotation, fill_mode=FILL),
    "translation": lambda share, **more: layers.RandomTranslation(share, share, fill_mode=FILL, **more),
    "zoom": partial(layers.RandomZoom, fill_mode=FILL),
    "contrast": partial(layers.RandomContrast, value_range=VALUE_RANGE),
    "brightness": partial(layers.RandomBrightness, value_range=VALUE_RANGE),
}
"""Layer factories by field name of `Augment`, in the order in which they are applied."""
