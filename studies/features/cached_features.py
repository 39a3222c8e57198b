"""Features of frozen networks: computed once for each machine, and measured while they are computed."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np

from spaces.space import Recipe
from studies.data.dataset import Split
from studies.features.cache_keys import content_digest, features_key
from studies.features.eligibility import is_cache_off, is_mirrored
from studies.features.store import compute_in_memory, load_costs, load_features, load_or_compute, save_costs
from studies.images.image_cache import cache_root
from studies.outcome import Costs

if TYPE_CHECKING:
    from studies.features.extraction import FeatureExtractor

DEFAULT_IMAGE_SECONDS = 0.01
"""Estimate for one image through a backbone whose features an earlier run computed."""

MAX_BYTES = 2 * 2**30
"""Larger features of one split are not computed; the trial trains on images instead."""

MAX_OPEN_ARRAYS = 8
"""Feature arrays that a run keeps open: train and validation of a few data sets."""

logger = logging.getLogger(__name__)


FitsInTime: TypeAlias = Callable[[float, Costs], bool]
"""Takes the seconds that the features need and the costs of the backbone; returns True if there is time."""


def always_fits(seconds: float, backbone: Costs) -> bool:
    """Return True: there is no time limit."""
    return True


class TooSlowError(Exception):
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
class CachedFeatures:
    """Computes features, stores them in the cache on disk, and keeps the arrays of this run open.

    Args:
        folder: Folder to which paths of weights are relative.
        progress: Called with the number of processed images and the total; an exception stops the computation.
        cache: Cache folder; None for SEARCH_CACHE or the user's cache folder.

    Attributes:
        fits: Called during the computation with the remaining seconds and the backbone's costs; returns True if there
            is time.
    """

    folder: Path
    progress: Callable[[int, int], None]
    cache: Path | None = None
    fits: FitsInTime = field(default_factory=lambda: always_fits, init=False)
    _timing: _Timing | None = field(default=None, init=False)
    _layers: int | None = field(default=None, init=False)
    _image_seconds: float = field(default=DEFAULT_IMAGE_SECONDS, init=False)
    _began: float = field(default=0.0, init=False)
    _images_after: int = field(default=0, init=False)
    _start_seconds: float = field(default=0.0, init=False)
    _open_arrays: dict[str, np.ndarray | None] = field(default_factory=dict, init=False)
    _contents: "WeakKeyDictionary[Split, str]" = field(default_factory=WeakKeyDictionary, init=False)
    _extractor: "tuple[Any, FeatureExtractor] | None" = field(default=None, init=False)

    @property
    def costs(self) -> Costs:
        """Costs of the frozen backbone that this run used last, or an estimate."""
        return Costs(self._start_seconds, 0.0, self._image_seconds, self._layers, is_whole=False)

    def of_split(self, recipe: Recipe, split: Split, views: int = 0, images_after: int = 0) -> np.ndarray | None:
        """Return the features of a split; None if they would be too large.

        Args:
            recipe: Recipe with the network and the augmentation of the views.
            split: The images.
            views: Number of augmented views of each image; 0 for the images themselves.
            images_after: Images whose features are needed next, for the estimate of the remaining time.

        Returns:
            (n, units), or (n, views, units) with views or with mirrored images.

        Raises:
            ModelError: The backbone cannot be built, or its weights are missing or do not fit.
        """
        self._images_after = images_after
        return _joined(recipe, lambda each, mirrored: self._cached(each, split, views, mirrored))

    def stored(self, recipe: Recipe, split: Split) -> np.ndarray | None:
        """Return the features of a split if they were computed before; None if not."""
        return _joined(recipe, lambda each, mirrored: self._found(self._key(each, split, 0, mirrored)))

    def units(self, recipe: Recipe, split: Split, views: int = 0) -> tuple[int, ...]:
        """Return the number of features of each network; those of the split were computed before."""
        parts = (self._cached(replace(recipe, backbone=part), split, views, False) for part in recipe.backbone.parts)
        return tuple(part.shape[-1] for part in parts if part is not None)

    def of_images(self, recipe: Recipe, images: np.ndarray) -> np.ndarray:
        """Return the features of a few images, which are not stored."""

        def compute(each: Recipe, mirrored: bool) -> np.ndarray:
            extractor = replace(self._made(each, images), progress=lambda done, total: None)
            return compute_in_memory(extractor.features_of(images, mirrored=mirrored))

        found = _joined(recipe, compute)
        if found is None:
            raise ValueError("the features of these images are too large")
        return found

    def release(self) -> None:
        """Release the network that computed features last."""
        self._extractor = None

    def _made(self, recipe: Recipe, images: Any) -> "FeatureExtractor":
        """Return the extractor of a recipe, which is built only if its features are not in the cache."""
        from studies.features.extraction import make_extractor

        shape: Any = tuple(images.shape[1:])
        key = (recipe.backbone, recipe.augment, shape)
        if self._extractor is None or self._extractor[0] != key:
            self._extractor = key, make_extractor(recipe, shape, self.folder, self._measured_progress)
        return self._extractor[1]

    def _measured_progress(self, done: int, total: int) -> None:
        if self._timing is None or done <= self._timing.last[1]:
            self._timing = _Timing((time.monotonic(), done))
            self._start_seconds = max(self._start_seconds, time.monotonic() - self._began)
        self._timing.last = time.monotonic(), done
        if (measured := self._timing.seconds_per_image) is not None:
            self._image_seconds = measured
            if not self.fits(measured * (total - done + self._images_after), self.costs):
                raise TooSlowError
        self.progress(done, total)

    def _key(self, recipe: Recipe, split: Split, views: int, mirrored: bool) -> str:
        if split not in self._contents:
            self._contents[split] = content_digest(split.images, cache_root(self.cache))
        return features_key(recipe, split.images, self._contents[split], self.folder, views, mirrored=mirrored)

    def _found(self, key: str) -> np.ndarray | None:
        return self._open_arrays[key] if key in self._open_arrays else load_features(cache_root(self.cache), key)

    def _cached(self, recipe: Recipe, split: Split, views: int, mirrored: bool) -> np.ndarray | None:
        root, key = cache_root(self.cache), self._key(recipe, split, views, mirrored)
        if key not in self._open_arrays:
            found = self._found(key)
            if found is None:
                from studies.models.layers import all_layers

                self._began = time.monotonic()
                made = self._made(recipe, split.images)
                self._layers = sum(1 for _ in all_layers(made.model))
                found = _load_or_compute(root, key, split, views, mirrored, made)
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


def _joined(recipe: Recipe, features_of: Callable[[Recipe, bool], np.ndarray | None]) -> np.ndarray | None:
    """Return the features of all networks of a recipe, one after the other, and of mirrored images as a second view."""
    parts = []
    for record in recipe.backbone.parts:
        each = replace(recipe, backbone=record)
        found = [features_of(each, mirrored) for mirrored in ((False, True) if is_mirrored(recipe) else (False,))]
        if any(part is None for part in found):
            return None
        parts.append(found[0] if len(found) == 1 else np.stack([part for part in found if part is not None], axis=1))
    return parts[0] if len(parts) == 1 else np.concatenate([part for part in parts if part is not None], axis=-1)


def _load_or_compute(
    root: Path, key: str, split: Split, views: int, mirrored: bool, extractor: "FeatureExtractor"
) -> np.ndarray | None:
    features = extractor.features_of(split.images, views, mirrored=mirrored)
    if features.bytes <= MAX_BYTES and is_cache_off():
        return compute_in_memory(features)
    if features.bytes <= MAX_BYTES:
        return load_or_compute(root, key, features, lambda: extractor.progress(0, len(split)))
    logger.warning(
        "the features of %d images would take %.1f GB; running the backbone in every epoch instead\n"
        "hint: use average pooling or fewer cached_views",
        len(split),
        features.bytes / 1e9,
    )
    return None
