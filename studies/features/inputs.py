"""What a trial or the retraining trains on: the images themselves, or the features of a frozen backbone."""

import functools
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from spaces.errors import ExportError
from spaces.space import Recipe
from studies.data.dataset import Dataset, Split, concatenate
from studies.features.cache_keys import content_digest, features_key
from studies.features.eligibility import CACHED_VIEWS, IMAGES, training_input
from studies.features.store import compute_in_memory, load_costs, load_features, load_or_compute, save_costs
from studies.images.image_cache import cache_root
from studies.outcome import Costs

if TYPE_CHECKING:
    import keras

    from studies.features.extraction import FeatureExtractor


DEFAULT_IMAGE_SECONDS = 0.01
"""For one image through a backbone whose features were computed by an earlier run."""

MAX_BYTES = 2 * 2**30
"""Features of one split that would take more are not computed: the backbone runs as usual."""

MAX_DIFFERENCE = 1e-3
"""A whole network whose probabilities differ by more from those of its head on features is wrong."""

_COMPARED_IMAGES = 32

logger = logging.getLogger(__name__)


MAX_OPEN_ARRAYS = 8
"""How many arrays of features a run keeps open: those of two data sets, trained on and judged by."""


@dataclass(frozen=True)
class TrainingInputs:
    """What a recipe is trained on.

    Args:
        train: Images, or features (n, units) or (n, views, units) in their place, with their labels.
        validation: What the metric is measured on after each epoch, in the same form; None trains without.
        build: Builds the model that is trained on them.
        trained_on: `images`, `features` or `cached views`.
        classes: Number of classes.
        folder: Folder where relative paths of weights start.
    """

    train: Split
    validation: Split | None
    build: Callable[..., "keras.Model"]
    trained_on: str
    classes: int
    folder: Path

    @property
    def splits(self) -> tuple[Split, Split]:
        """Train and validation.

        Raises:
            ValueError: There is no validation split.
        """
        if self.validation is None:
            raise ValueError("these inputs have no validation split")
        return self.train, self.validation

    @property
    def all_images(self) -> "TrainingInputs":
        """Train and validation as one, to train without validation."""
        return replace(self, train=concatenate(*self.splits), validation=None)

    def build_model(self, recipe: Recipe) -> "keras.Model":
        """Return the model of a recipe, not compiled.

        Raises:
            ModelError: The recipe cannot be built.
        """
        return self.build(recipe, self.train.images.shape[1:], self.classes, folder=self.folder)


class _TooSlowError(Exception):
    """There is no time to compute the features."""


def image_inputs(dataset: Dataset, folder: Path) -> TrainingInputs:
    """Return the images themselves as what a recipe is trained on."""
    from studies.models.build import build_model

    return TrainingInputs(dataset.train, dataset.validation, build_model, IMAGES, len(dataset.classes), folder)


@dataclass
class _Timing:
    """When a backbone had read how many images: after its first batch, which compiles, and after its last."""

    first: tuple[float, int]
    last: tuple[float, int] = (0.0, 0)

    @property
    def seconds_per_image(self) -> float | None:
        """None while there was one batch only."""
        images = self.last[1] - self.first[1]
        return (self.last[0] - self.first[0]) / images if images > 0 else None


@dataclass(eq=False)
class FeatureInputs:
    """Computes features once, and keeps those of this run at hand.

    Args:
        folder: Where the relative path of a file of weights starts.
        progress: Called with the images done and the images in all; what it raises ends the computing.
        cache: Where features are kept; None takes SEARCH_CACHE, else the user's cache folder.
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
        """What a trial of this recipe is trained and judged on.

        Args:
            recipe: What is trained.
            dataset: Its images.
            fits: Asked while features are computed with the seconds that this will still take, and the backbone's
                costs: whether there is time. Without it the trial trains on images.

        Raises:
            ModelError: The backbone cannot be built, or its weights are absent or do not fit.
        """
        self._fits = fits
        try:
            return self._prepare(recipe, dataset, views_of_validation=0)
        except _TooSlowError:
            logger.warning("The time limit leaves no time to compute features: this trial trains on images.")
            return image_inputs(dataset, self.folder)
        finally:
            self._fits = lambda seconds, backbone: True

    def for_retraining(self, recipe: Recipe, dataset: Dataset) -> TrainingInputs:
        """What the best recipe is trained on once more: the validation images are training images here.

        Raises:
            ModelError: The backbone cannot be built, or its weights are absent or do not fit.
        """
        return self._prepare(recipe, dataset, views_of_validation=_views(recipe))

    @property
    def backbone_costs(self) -> Costs:
        """What the frozen backbone costs that this run has computed features with last, or what one may cost."""
        return Costs(self._start_seconds, 0.0, self._image_seconds, self._layers, is_whole=False)

    def full_model(
        self, recipe: Recipe, prepared: TrainingInputs, trained: "keras.Model", dataset: Dataset
    ) -> "keras.Model":
        """The network from images to answers, whatever part of it was trained."""
        if prepared.trained_on == IMAGES:
            return trained
        from studies.features.heads import build_full_model

        return build_full_model(recipe, trained, dataset.image_shape, len(dataset.classes), self.folder)

    def verify_full_model(
        self,
        recipe: Recipe,
        prepared: TrainingInputs,
        trained: "keras.Model",
        inference: "keras.Model",
        dataset: Dataset,
    ) -> dict[str, Any]:
        """How far the whole network's probabilities are from those of its head on features.

        Compared on test images, whose features are computed now, and on validation images with the features that the
        search has used, so that features of other images or other weights are noticed.

        Args:
            recipe: What was trained.
            prepared: What it was trained on.
            trained: The model that was trained.
            inference: The whole network, from images to probabilities.
            dataset: The recipe's images.

        Returns:
            `path`, and for features `max_abs_difference`.

        Raises:
            ExportError: They differ by more than rounding.
        """
        if prepared.trained_on == IMAGES:
            return {"path": IMAGES}
        from studies.features.heads import head_probabilities

        extractor = self._extractor(recipe, dataset, lambda done, total: None)
        test = np.asarray(dataset.test.images[_spaced_rows(len(dataset.test))])
        chosen = _spaced_rows(len(dataset.validation))
        used = self._features_of(recipe, dataset.validation, 0, extractor)
        images = [test, np.asarray(dataset.validation.images[chosen])]
        features = [compute_in_memory(extractor().rows(test)), None if used is None else used[chosen]]
        difference = 0.0
        for pictures, found in zip(images, features, strict=True):
            if found is not None:
                head = head_probabilities(recipe, trained, found, len(dataset.classes))
                difference = max(difference, float(np.abs(head - _predict(inference, pictures)).max()))
        if not difference <= MAX_DIFFERENCE:
            raise ExportError(
                f"the whole network answers otherwise than its head on cached features, by {difference:.2g} where "
                f"{MAX_DIFFERENCE:g} is allowed: remove the cached features with search cache --clear, or train "
                "without them with SEARCH_FEATURE_CACHE=off"
            )
        return {"path": prepared.trained_on, "max_abs_difference": difference}

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
        """Makes the backbone when it is first needed: mostly the features are there."""
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
        """The features of a split; None when they would be too large."""
        root = cache_root(self.cache)
        if split not in self._contents:
            self._contents[split] = content_digest(split.images, root)
        key = features_key(recipe, split.images, self._contents[split], self.folder, views)
        if key not in self._open_arrays:
            found = load_features(root, key)
            if found is None:
                from studies.models.layers import all_layers

                self._layers = sum(1 for _ in all_layers(extractor().model))
                found = _computed(root, key, split, views, extractor())
                save_costs(root, key, {"image_seconds": self._image_seconds, "layers": self._layers})
            elif costs := load_costs(root, key):
                self._image_seconds, layers = costs.get("image_seconds", self._image_seconds), costs.get("layers")
                self._layers = self._layers if layers is None else int(layers)
            self._open_arrays[key] = found
        kept_features = self._open_arrays[key]
        # A study over augmentations meets new features in every trial: only the last few are kept open.
        while len(self._open_arrays) > MAX_OPEN_ARRAYS:
            del self._open_arrays[next(iter(self._open_arrays))]
        return kept_features


def _computed(root: Path, key: str, split: Split, views: int, extractor: "FeatureExtractor") -> np.ndarray | None:
    rows = extractor.rows(split.images, views)
    if rows.bytes <= MAX_BYTES:
        return load_or_compute(root, key, rows, lambda: extractor.progress(0, len(split)))
    logger.warning(
        "The features of %d images would take %.1f GB: the backbone runs in every epoch instead. Pooling by "
        "average, or fewer cached_views, makes them smaller.",
        len(split),
        rows.bytes / 1e9,
    )
    return None


def _views(recipe: Recipe) -> int:
    return (recipe.augment.cached_views or 0) if training_input(recipe) == CACHED_VIEWS and recipe.augment else 0


def _spaced_rows(rows: int) -> np.ndarray:
    """Some rows, spread evenly."""
    return np.unique(np.linspace(0, rows - 1, _COMPARED_IMAGES).astype(int))


def _predict(inference: "keras.Model", images: np.ndarray) -> np.ndarray:
    import keras

    # On the CPU, since some GPUs round products of float32 to ten bits.
    with keras.device("cpu:0"):
        return np.asarray(keras.ops.convert_to_numpy(inference(images, training=False)))
