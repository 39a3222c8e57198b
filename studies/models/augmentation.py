"""Builds the Keras layers of `Augment`, which change images from 0 to 255 in training only."""

from collections.abc import Callable, Mapping
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
    return [_layer(kind, getattr(augment, kind), next(seeds)) for kind in LAYERS if getattr(augment, kind)]


def _layer(kind: str, amount: Any, seed: int | None) -> Any:
    return LAYERS[kind](amount, seed=seed, name=f"augment_{kind}")


def _flip(mode: str, **more: Any) -> Any:
    return layers.RandomFlip("horizontal_and_vertical" if mode == "both" else mode, **more)


def _rotation(share: float, **more: Any) -> Any:
    return layers.RandomRotation(share, fill_mode=FILL, **more)


def _translation(share: float, **more: Any) -> Any:
    return layers.RandomTranslation(share, share, fill_mode=FILL, **more)


def _zoom(share: float, **more: Any) -> Any:
    return layers.RandomZoom(share, fill_mode=FILL, **more)


def _contrast(share: float, **more: Any) -> Any:
    return layers.RandomContrast(share, value_range=VALUE_RANGE, **more)


def _brightness(share: float, **more: Any) -> Any:
    return layers.RandomBrightness(share, value_range=VALUE_RANGE, **more)


LAYERS: Mapping[str, Callable[..., Any]] = {
    "flip": _flip,
    "rotation": _rotation,
    "translation": _translation,
    "zoom": _zoom,
    "contrast": _contrast,
    "brightness": _brightness,
}
"""Layer factories by field name of `Augment`, in the order in which they are applied."""
