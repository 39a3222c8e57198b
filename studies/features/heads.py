"""Builds the head that is trained on features, and the full network with a trained head."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from spaces.space import Recipe
from studies.features.eligibility import is_mirrored
from studies.models.build import build_model, finish_model
from studies.models.outputs import add_dense_head, count_logits, probabilities_of
from studies.models.precision import precision


def build_head(
    recipe: Recipe, features_shape: tuple[int, ...], classes: int, *, folder: Path | None = None
) -> keras.Model:
    """Build the uncompiled head of a recipe with a `Pretrained` backbone.

    The same seed of `keras.utils.set_random_seed` before the call gives the same weights.

    Args:
        features_shape: Shape of one image's features: (units,), or (views, units) for augmented views.
        classes: Number of classes, at least 2.
        folder: Not used, since a head has no weights file.

    Returns:
        A model from features to the outputs of `build_model`'s model. It trains on a random view and uses the first
        view in inference; with mirrored images it uses the mean of both views.
    """
    views, units = (None, *features_shape)[-2:]
    features = keras.Input((units,) if views is None else (None, units), dtype="float32", name="features")
    hidden: Any = features
    if is_mirrored(recipe):
        hidden = keras.layers.GlobalAveragePooling1D(name="view")(features)
    elif views is not None:
        hidden = OneView(int(views), name="view")(features)
    with precision(recipe.precision):
        outputs = add_dense_head(hidden, recipe.backbone.dense_units, "relu", recipe.dropout, count_logits(classes))
        return keras.Model(features, finish_model(recipe, features, outputs), name="head")


def build_full_model(
    recipe: Recipe, head: keras.Model, image_shape: tuple[int, int, int], classes: int, folder: Path
) -> keras.Model:
    """Build the model of `build_model` with the weights of a trained head.

    Raises:
        ModelError: The weights of the backbone are missing or do not fit.
    """
    full = build_model(recipe, image_shape, classes, folder=folder)
    for layer in head.layers:
        if layer.weights:
            full.get_layer(layer.name).set_weights(layer.get_weights())
    return full


def head_probabilities(recipe: Recipe, head: keras.Model, features: np.ndarray, classes: int) -> np.ndarray:
    """Return a trained head's probabilities (n, 1) or (n, classes) for features (n, units), in float32."""
    plain = build_head(replace(recipe, precision="float32"), features.shape[1:], classes)
    plain.set_weights(head.get_weights())
    with keras.device("cpu:0"):
        return probabilities_of(plain, plain(np.asarray(features), training=False))


class OneView(keras.layers.Layer):  # type: ignore[misc]
    """Selects one view (n, units) of each image (n, views, units): a random one in training, else the first.

    Args:
        views: Number of views per image in training.
    """

    def __init__(self, views: int, **named: Any) -> None:
        super().__init__(**named)
        self._views = views
        self._seeds = keras.random.SeedGenerator()

    def call(self, features: Any, training: bool | None = None) -> Any:
        """Return the selected views (n, units)."""
        if not training:
            return features[:, 0]
        chosen = keras.random.randint((keras.ops.shape(features)[0],), 0, self._views, seed=self._seeds)
        return keras.ops.take_along_axis(features, chosen[:, None, None], axis=1)[:, 0]
