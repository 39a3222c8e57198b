"""Runs a frozen backbone over all images, batch by batch."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from spaces.space import Recipe
from studies.features.store import FeatureBatches
from studies.models.augmentation import LAYERS, augmentation_layers
from studies.models.build import build_model

_PIXELS_PER_BATCH, _MAX_BATCH = 2**21, 64


@dataclass(frozen=True, eq=False)
class FeatureExtractor:
    """Computes features.

    Args:
        model: Maps raw images (n, height, width, channels), 0 to 255, to pooled features (n, units).
        recipe: Recipe with the augmentation of the views.
        progress: Called with the number of processed images and the total.
    """

    model: keras.Model
    recipe: Recipe
    progress: Callable[[int, int], None]

    def features_of(self, images: Any, views: int = 0, *, mirrored: bool = False) -> FeatureBatches:
        """Return the features of images, not yet computed.

        Args:
            images: (n, height, width, channels).
            views: Number of augmented views per image, the same every time; 0 for the original images.
            mirrored: Whether to mirror the images first, left to right.
        """
        units = int(self.model.output_shape[-1])
        shape = (len(images), views, units) if views else (len(images), units)
        return FeatureBatches(shape, lambda: self._compute(images, views, mirrored))

    def _compute(self, images: Any, views: int, mirrored: bool) -> Iterator[np.ndarray]:
        height, width = images.shape[1:3]
        size = max(1, min(_MAX_BATCH, _PIXELS_PER_BATCH // (height * width)))
        changes = [augmentation_layers(self.recipe.augment, seed=view * len(LAYERS)) for view in range(views)]
        for start in range(0, len(images), size):
            # A last batch of another size would be traced again.
            batch = np.zeros((size, *images.shape[1:]), np.float32)
            rows = len(images[start : start + size])
            batch[:rows] = images[start : start + size]
            if mirrored:
                batch = np.ascontiguousarray(batch[:, :, ::-1])
            # The features must match the exported network, which may run on another device.
            with _full_precision():
                found = [self.model.predict_on_batch(_augment(batch, layers)) for layers in changes or [[]]]
            yield (np.stack(found, axis=1) if views else np.asarray(found[0]))[:rows]
            self.progress(start + rows, len(images))


def make_extractor(
    recipe: Recipe, image_shape: tuple[int, int, int], folder: Path, progress: Callable[[int, int], None]
) -> FeatureExtractor:
    """Build a recipe's model up to its pooling, with its weights, in float32 like the exported model.

    Raises:
        ModelError: The backbone cannot be built for such images, or its weights are missing or do not fit.
    """
    plain = replace(
        recipe, augment=None, precision="float32", backbone=replace(recipe.backbone, dense_units=0, head=None)
    )
    whole = build_model(plain, image_shape, classes=2, folder=folder)
    return FeatureExtractor(keras.Model(whole.input, whole.get_layer("pooling").output), recipe, progress)


def _full_precision() -> AbstractContextManager[None]:
    if keras.backend.backend() != "tensorflow":
        return nullcontext()
    from studies.features.tensorflow_precision import full_precision

    return full_precision()


def _augment(batch: np.ndarray, layers: list[Any]) -> np.ndarray:
    changed: Any = batch
    for layer in layers:
        changed = layer(changed, training=True)
    return np.asarray(keras.ops.convert_to_numpy(changed))
