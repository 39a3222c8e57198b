"""What a recipe's model is trained on: images, or the features that its frozen backbone gave once."""

import os
from dataclasses import fields

from spaces.backbones import Pretrained
from spaces.space import Recipe
from spaces.training import Augment

IMAGES, FEATURES, CACHED_VIEWS = "images", "features", "cached views"

FEATURES_ENV = ("SEARCH_FEATURE_CACHE", "SEARCH_FEATURES")
"""Environment variable that makes every trial train on images if it is `off`, and its old name."""


def training_input(recipe: Recipe) -> str:
    """What this recipe can be trained on: one of the constants of this module.

    Features stand for the images only where the backbone gives the same ones in every epoch and every trial: it is
    frozen, its weights come from a file or from ImageNet, and the images are not changed anew in every epoch.
    """
    if "off" in (os.environ.get(name, "").lower() for name in FEATURES_ENV) or not _is_fixed(recipe):
        return IMAGES
    if _changes_nothing(recipe.augment):
        return FEATURES
    return CACHED_VIEWS if recipe.augment and recipe.augment.cached_views else IMAGES


def _is_fixed(recipe: Recipe) -> bool:
    record = recipe.backbone
    frozen = isinstance(record, Pretrained) and record.trainable_layers == 0 and record.weights is not None
    return frozen and recipe.fine_tune is None


def _changes_nothing(augment: Augment | None) -> bool:
    return augment is None or not any(
        getattr(augment, field.name) for field in fields(augment) if field.name != "cached_views"
    )
