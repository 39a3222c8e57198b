"""Provides the training inputs of a trial or the retraining: images, or cached features of a frozen backbone."""

import functools
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from spaces.errors import ExportError
from spaces.space import Recipe
from studies.data.dataset import Dataset, Split
from studies.features.cache_keys import content_digest, features_key
from studies.features.eligibility import CACHED_VIEWS, IMAGES, training_input
from studies.features.store import compute_in_memory, load_costs, load_features, load_or_compute, save_costs
from studies.features.training_inputs import TrainingInputs, image_inputs
from studies.images.image_cache import cache_root
from studies.outcome import Costs

if TYPE_CHECKING:
    import keras

    from studies.features.extraction import FeatureExtractor


DEFAULT_IMAGE_SECONDS = 0.01
"""Estimate for one image through a backbone whose features an earlier run computed."""

MAX_BYTES = 2 * 2**30
"""Larger features of one split are not computed; the trial trains on images instead."""

MAX_DIFFERENCE = 1e-3
"""Maximum difference between the probabilities of the full network and those of its head on features."""

_SAMPLES = 32

logger = logging.getLogger(__name__)


MAX_OPEN_ARRAYS = 8
"""Feature arrays that a run keeps open: train and validation of a few data sets."""


class _TooSlowError(Exception):
    """The time limit does not allow computing the features."""


@dataclass
class _Timing:
    """Times and image counts after a backbone's first batch, which compiles, and after its latest batch."""

    first: tuple[float, int]
    last: tuple[float, int] = (0.0, 0)

    @property
    def seconds_per_image(self) -> float | None:
        """Seconds per image, or None after only one batch."""
        images = self.last[1] - self.first[1]
        return (self.last[0] - self.first[0]) / images if images > 0 else None


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
    _timing: "_Timing | None" = field(default=None, init=False)
    _layers: int | None = field(default=None, init=False)
    _image_seconds: float = field(default=DEFAULT_IMAGE_SECONDS, init=False)
    _began: float = field(default=0.0, init=False)
    _images_after: int = field(default=0, init=False)
    _fits: Callable[[float, Costs], bool] = field(default=lambda seconds, backbone: True, init=False)
    _start_seconds: float = field(default=0.0, init=False)
    _open_arrays: dict[str, np.ndarray | None] = field(default_factory=dict, init=False)
    _contents: "WeakKeyDictionary[Split, str]" = field(default_factory=WeakKeyDictionary, init=False)

    def for_trial(
        self, recipe: Recipe, dataset: Dataset, fits: Callable[[float, Costs], bool] = lambda seconds, backbone: True
    ) -> TrainingInputs:
        """Return the training inputs of a trial.

        Args:
            fits: Called during the computation of features with the remaining seconds and the backbone's costs;
                returns True if there is time. If not, the trial trains on images.

        Raises:
            ModelError: The backbone cannot be built, or its weights are missing or do not fit.
        """
        self._fits = fits
        try:
            return self._prepare(recipe, dataset, views_of_validation=0)
        except _TooSlowError:
            logger.warning("not enough time to compute features; training this trial on images")
            return image_inputs(dataset, self.folder)
        finally:
            self._fits = lambda seconds, backbone: True

    def for_retraining(self, recipe: Recipe, dataset: Dataset) -> TrainingInputs:
        """Return the inputs of the retraining, where validation images are training images.

        Raises:
            ModelError: The backbone cannot be built, or its weights are missing or do not fit.
        """
        return self._prepare(recipe, dataset, views_of_validation=_views(recipe))

    @property
    def backbone_costs(self) -> Costs:
        """Costs of the frozen backbone that this run used last, or an estimate."""
        return Costs(self._start_seconds, 0.0, self._image_seconds, self._layers, is_whole=False)

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

        Uses test images, whose features are computed now, and validation images with the features of the search, to
        detect features of other images or other weights.

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

        extractor = self._extractor(recipe, dataset, lambda done, total: None)
        test = np.asarray(dataset.test.images[spaced_rows(len(dataset.test))])
        chosen = spaced_rows(len(dataset.validation))
        used = self._features_of(recipe, dataset.validation, 0, extractor)
        images = [test, np.asarray(dataset.validation.images[chosen])]
        features = [compute_in_memory(extractor().features_of(test)), None if used is None else used[chosen]]
        difference = 0.0
        for pictures, found in zip(images, features, strict=True):
            if found is not None:
                head = head_probabilities(recipe, trained, found, len(dataset.classes))
                difference = max(difference, float(np.abs(head - outputs_on_cpu(inference, pictures)).max()))
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
        extractor = self._extractor(recipe, dataset, self._measured_progress)
        self._began = time.monotonic()
        self._images_after = len(dataset.validation)
        train = self._features_of(recipe, dataset.train, views, extractor)
        self._images_after = 0
        validation = (
            None if train is None else self._features_of(recipe, dataset.validation, views_of_validation, extractor)
        )
        if train is None or validation is None:
            return image_inputs(dataset, self.folder)
        from studies.features.heads import build_head

        if views and not views_of_validation:
            validation = validation[:, None]
        splits = Split(train, dataset.train.labels), Split(validation, dataset.validation.labels)
        return TrainingInputs(*splits, build_head, path, len(dataset.classes), self.folder)

    def _extractor(
        self, recipe: Recipe, dataset: Dataset, progress: Callable[[int, int], None]
    ) -> "Callable[[], FeatureExtractor]":
        """Return a function that builds the backbone on its first call, since features are mostly in the cache."""
        from studies.features.extraction import make_extractor

        return functools.cache(lambda: make_extractor(recipe, dataset.image_shape, self.folder, progress))

    def _measured_progress(self, done: int, total: int) -> None:
        if self._timing is None or done <= self._timing.last[1]:
            self._timing = _Timing((time.monotonic(), done))
            self._start_seconds = max(self._start_seconds, time.monotonic() - self._began)
        self._timing.last = time.monotonic(), done
        if (measured := self._timing.seconds_per_image) is not None:
            self._image_seconds = measured
            if not self._fits(measured * (total - done + self._images_after), self.backbone_costs):
                raise _TooSlowError
        self.progress(done, total)

    def _features_of(
        self, recipe: Recipe, split: Split, views: int, extractor: "Callable[[], FeatureExtractor]"
    ) -> np.ndarray | None:
        """Return the features of a split; None if they would be too large."""
        root = cache_root(self.cache)
        if split not in self._contents:
            self._contents[split] = content_digest(split.images, root)
        key = features_key(recipe, split.images, self._contents[split], self.folder, views)
        if key not in self._open_arrays:
            found = load_features(root, key)
            if found is None:
                from studies.models.layers import all_layers

                self._layers = sum(1 for _ in all_layers(extractor().model))
                found = _load_or_compute(root, key, split, views, extractor())
                save_costs(root, key, {"image_seconds": self._image_seconds, "layers": self._layers})
            elif costs := load_costs(root, key):
                self._image_seconds, layers = costs.get("image_seconds", self._image_seconds), costs.get("layers")
                self._layers = self._layers if layers is None else int(layers)
            self._open_arrays[key] = found
        features = self._open_arrays[key]
        # A study over augmentations has new features in every trial, so only the last few stay open.
        while len(self._open_arrays) > MAX_OPEN_ARRAYS:
            del self._open_arrays[next(iter(self._open_arrays))]
        return features


def _load_or_compute(
    root: Path, key: str, split: Split, views: int, extractor: "FeatureExtractor"
) -> np.ndarray | None:
    features = extractor.features_of(split.images, views)
    if features.bytes <= MAX_BYTES:
        return load_or_compute(root, key, features, lambda: extractor.progress(0, len(split)))
    logger.warning(
        "the features of %d images would take %.1f GB; running the backbone in every epoch instead\n"
        "hint: use average pooling or fewer cached_views",
        len(split),
        features.bytes / 1e9,
    )
    return None


def _views(recipe: Recipe) -> int:
    return (recipe.augment.cached_views or 0) if training_input(recipe) == CACHED_VIEWS and recipe.augment else 0


def spaced_rows(rows: int) -> np.ndarray:
    """Return up to 32 evenly spaced row indices."""
    return np.unique(np.linspace(0, rows - 1, _SAMPLES).astype(int))
