"""The head on features, and the whole network that it becomes part of."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from spaces.space import Recipe
from studies.models.build import build_model, finish_model
from studies.models.outputs import add_dense_head, count_logits, returns_logits
from studies.models.precision import precision


def build_head(
    recipe: Recipe, features_shape: tuple[int, ...], classes: int, *, folder: Path | None = None
) -> keras.Model:
    """The uncompiled head of a recipe with a `Pretrained` backbone.

    Equal seeds of `keras.utils.set_random_seed` before the call give equal weights.

    Args:
        recipe: The recipe.
        features_shape: (units,) of one image's features, or (views, units) of those of its changed views.
        classes: Number of classes, at least 2.
        folder: Not used: a head has no file of weights.

    Returns:
        A model from features to what `build_model`'s gives. Of several views it trains on one by chance, and
        answers on the first.
    """
    views, units = (None, *features_shape)[-2:]
    features = keras.Input((units,) if views is None else (None, units), dtype="float32", name="features")
    hidden = features if views is None else OneView(int(views), name="view")(features)
    with precision(recipe.precision):
        outputs = add_dense_head(hidden, recipe.backbone.dense_units, "relu", recipe.dropout, count_logits(classes))
        return keras.Model(features, finish_model(recipe, features, outputs), name="head")


def build_full_model(
    recipe: Recipe, head: keras.Model, image_shape: tuple[int, int, int], classes: int, folder: Path
) -> keras.Model:
    """The model of `build_model` with a trained head in place of its own.

    Raises:
        ModelError: The weights of the backbone are absent or do not fit.
    """
    whole = build_model(recipe, image_shape, classes, folder=folder)
    for layer in head.layers:
        if layer.weights:
            whole.get_layer(layer.name).set_weights(layer.get_weights())
    return whole


def head_probabilities(recipe: Recipe, head: keras.Model, features: np.ndarray, classes: int) -> np.ndarray:
    """What a trained head says of features (n, units), in float32: probabilities (n, 1) or (n, classes)."""
    plain = build_head(replace(recipe, precision="float32"), features.shape[1:], classes)
    plain.set_weights(head.get_weights())
    with keras.device("cpu:0"):
        outputs: Any = plain(np.asarray(features), training=False)
        if returns_logits(plain):
            outputs = keras.ops.sigmoid(outputs) if outputs.shape[-1] == 1 else keras.ops.softmax(outputs)
        return np.asarray(keras.ops.convert_to_numpy(outputs))


class OneView(keras.layers.Layer):  # type: ignore[misc]
    """Of several views of each image (n, views, units), one by chance in training, else the first (n, units).

    Args:
        views: Views of each image in training.
    """

    def __init__(self, views: int, **named: Any) -> None:
        super().__init__(**named)
        self._views = views
        self._seeds = keras.random.SeedGenerator()

    def call(self, features: Any, training: bool | None = None) -> Any:
        """Choose."""
        if not training:
            return features[:, 0]
        chosen = keras.random.randint((keras.ops.shape(features)[0],), 0, self._views, seed=self._seeds)
        return keras.ops.take_along_axis(features, chosen[:, None, None], axis=1)[:, 0]
