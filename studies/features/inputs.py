"""Provides the training inputs of a trial or the retraining: images, or cached features of a frozen backbone."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spaces.errors import ExportError, ModelError
from spaces.space import Recipe
from studies.data.dataset import Dataset, Split
from studies.features.cached_features import CachedFeatures, FitsInTime, TooSlowError, always_fits
from studies.features.eligibility import CACHED_VIEWS, FEATURES, IMAGES, is_linear, training_input
from studies.features.training_inputs import TrainingInputs, image_inputs
from studies.outcome import Costs

if TYPE_CHECKING:
    import keras


MAX_DIFFERENCE = 1e-3
"""Maximum difference between the probabilities of the full network and those of its head on features."""

_SAMPLES = 32

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class FeatureInputs:
    """Computes features once, and keeps the arrays of this run open.

    Args:
        folder: Folder to which paths of weights are relative.
        progress: Called with the number of processed images and the total; an exception stops the computation.
        cache: Cache folder; None for SEARCH_CACHE or the user's cache folder.
    """

    folder: Path
    progress: Callable[[int, int], None] = lambda done, total: None
    cache: Path | None = None
    _cached: CachedFeatures = field(init=False)

    def __post_init__(self) -> None:
        self._cached = CachedFeatures(self.folder, self.progress, self.cache)

    def for_trial(self, recipe: Recipe, dataset: Dataset, fits: FitsInTime = always_fits) -> TrainingInputs:
        """Return the training inputs of a trial.

        Args:
            fits: Called during the computation of features with the remaining seconds and the backbone's costs;
                returns True if there is time. If not, the trial trains on images.

        Raises:
            ModelError: The backbone cannot be built, or its weights are missing or do not fit.
            TooSlowError: There is no time, and the recipe has a `Linear` head, which cannot be trained on images.
        """
        self._cached.fits = fits
        try:
            return self._prepare(recipe, dataset, views_of_validation=0)
        except TooSlowError:
            if is_linear(recipe):
                raise
            logger.warning("not enough time to compute features; training this trial on images")
            return image_inputs(dataset, self.folder)
        finally:
            self._cached.fits = always_fits
            self._cached.release()

    def for_retraining(self, recipe: Recipe, dataset: Dataset) -> TrainingInputs:
        """Return the inputs of the retraining, where validation images are training images.

        Raises:
            ModelError: The backbone cannot be built, or its weights are missing or do not fit.
        """
        return self._prepare(recipe, dataset, views_of_validation=_views(recipe))

    def for_weights(self, recipe: Recipe, dataset: Dataset) -> TrainingInputs:
        """Return inputs of one image that have the form of a trial's, to build the model of saved weights.

        Raises:
            ModelError: The backbone cannot be built, or its weights are missing or do not fit.
        """
        path, views = training_input(recipe), _views(recipe)
        if path == IMAGES:
            return image_inputs(dataset, self.folder)
        from studies.features.heads import build_head

        features = self._cached.of_images(recipe, np.asarray(dataset.train.images[:1]))
        self._cached.release()
        if views:
            features = np.repeat(features[:, None], views, axis=1)
        split = Split(features, dataset.train.labels[:1])
        return TrainingInputs(split, None, build_head, path, len(dataset.classes), self.folder)

    def has_features(self, recipe: Recipe, split: Split) -> bool:
        """Return True if the features of a split were computed before, on this machine."""
        return training_input(recipe) == FEATURES and self._cached.stored(recipe, split) is not None

    @property
    def backbone_costs(self) -> Costs:
        """Costs of the frozen backbone that this run used last, or an estimate."""
        return self._cached.costs

    def full_model(
        self, recipe: Recipe, inputs: TrainingInputs, trained: "keras.Model", dataset: Dataset
    ) -> "keras.Model":
        """Return the full network from images to outputs, whatever part of it was trained."""
        if inputs.trained_on == IMAGES:
            return trained
        from studies.features.heads import build_full_model

        return build_full_model(recipe, trained, dataset.image_shape, len(dataset.classes), self.folder)

    def verify_full_model(
        self,
        recipe: Recipe,
        inputs: TrainingInputs,
        trained: "keras.Model",
        inference: "keras.Model",
        dataset: Dataset,
    ) -> dict[str, Any]:
        """Compare the full network's probabilities with those of its head on features.

        Uses validation images with the features of the search, if these are stored, to detect features of other images
        or other weights.

        Args:
            inference: The full network, from images to probabilities.

        Returns:
            `path`, and `max_abs_difference` for features.

        Raises:
            ExportError: The probabilities differ by more than rounding.
        """
        if inputs.trained_on == IMAGES:
            return {"path": IMAGES}
        from studies.features.heads import head_probabilities
        from studies.models.outputs import outputs_on_cpu

        chosen = spaced_rows(len(dataset.validation))
        pictures = np.asarray(dataset.validation.images[chosen])
        used = self._cached.stored(recipe, dataset.validation)
        features = self._cached.of_images(recipe, pictures) if used is None else used[chosen]
        self._cached.release()
        head = head_probabilities(recipe, trained, features, len(dataset.classes))
        difference = float(np.abs(head - outputs_on_cpu(inference, pictures)).max())
        if not difference <= MAX_DIFFERENCE:
            raise ExportError(
                f"cached features do not match the full model (difference {difference:.2g}, allowed "
                f"{MAX_DIFFERENCE:g})\nhint: run `search cache --clear` or set SEARCH_FEATURE_CACHE=off"
            )
        return {"path": inputs.trained_on, "max_abs_difference": difference}

    def _prepare(self, recipe: Recipe, dataset: Dataset, views_of_validation: int) -> TrainingInputs:
        path, views = training_input(recipe), _views(recipe)
        if path == IMAGES:
            return image_inputs(dataset, self.folder)
        train = self._cached.of_split(recipe, dataset.train, views, images_after=len(dataset.validation))
        validation = None if train is None else self._cached.of_split(recipe, dataset.validation, views_of_validation)
        self._cached.release()
        if train is None or validation is None:
            if is_linear(recipe):
                raise ModelError(
                    "backbone: the features are too large for head=Linear(...)\n"
                    'hint: use pooling="average", a smaller image_size or fewer cached_views'
                )
            return image_inputs(dataset, self.folder)
        from studies.features.heads import build_head

        if views and not views_of_validation:
            validation = validation[:, None]
        splits = Split(train, dataset.train.labels), Split(validation, dataset.validation.labels)
        units = self._cached.units(recipe, dataset.train, views)
        return TrainingInputs(*splits, build_head, path, len(dataset.classes), self.folder, units)


def _views(recipe: Recipe) -> int:
    return (recipe.augment.cached_views or 0) if training_input(recipe) == CACHED_VIEWS and recipe.augment else 0


def spaced_rows(rows: int) -> np.ndarray:
    """Return up to 32 evenly spaced row indices."""
    return np.unique(np.linspace(0, rows - 1, _SAMPLES).astype(int))
