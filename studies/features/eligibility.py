"""Decides whether a recipe is trained on images or on cached features of its frozen backbone."""

import os
from dataclasses import fields

from spaces.backbones import Pretrained
from spaces.heads import MIRROR, Linear
from spaces.space import Recipe
from spaces.training import Augment

IMAGES, FEATURES, CACHED_VIEWS = "images", "features", "cached views"

FEATURES_ENV = ("SEARCH_FEATURE_CACHE", "SEARCH_FEATURES")
"""Environment variable that makes every trial train on images when set to `off`, and its old name."""


def is_linear(recipe: Recipe) -> bool:
    """Return True if a recipe's head is solved exactly instead of trained."""
    return isinstance(recipe.backbone, Pretrained) and isinstance(recipe.backbone.head, Linear)


def is_mirrored(recipe: Recipe) -> bool:
    """Return True if a recipe is trained on mirrored images, too, and predicts the mean of both."""
    return is_linear(recipe) and recipe.backbone.head.views == MIRROR


def training_input(recipe: Recipe) -> str:
    """Return the training input of a recipe: IMAGES, FEATURES or CACHED_VIEWS.

    Features can replace images only if they are the same in every epoch and every trial: the backbone is frozen, its
    weights come from a file or from ImageNet, and the images are not augmented differently in every epoch. A `Linear`
    head is always trained on features.
    """
    if is_linear(recipe):
        return CACHED_VIEWS if recipe.augment and recipe.augment.cached_views else FEATURES
    if is_cache_off() or not _is_fixed(recipe):
        return IMAGES
    if _changes_nothing(recipe.augment):
        return FEATURES
    return CACHED_VIEWS if recipe.augment and recipe.augment.cached_views else IMAGES


def is_cache_off() -> bool:
    """Return True if the user has turned the storing of features off."""
    return "off" in (os.environ.get(name, "").lower() for name in FEATURES_ENV)


def _is_fixed(recipe: Recipe) -> bool:
    record = recipe.backbone
    frozen = isinstance(record, Pretrained) and record.trainable_layers == 0 and record.weights is not None
    return frozen and recipe.fine_tune is None


def _changes_nothing(augment: Augment | None) -> bool:
    return augment is None or not any(
        getattr(augment, field.name) for field in fields(augment) if field.name != "cached_views"
    )
