"""Features: what a frozen backbone makes of each image, computed once, so that a trial trains its head only."""

from studies.features.paths import CACHED_VIEWS, FEATURES, IMAGES, path_of
from studies.features.prepared import Features, Prepared, as_images

__all__ = ["CACHED_VIEWS", "FEATURES", "IMAGES", "Features", "Prepared", "as_images", "path_of"]
