"""Computes the cache keys of features from everything that the features depend on."""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from spaces.backbones import Pretrained
from spaces.canonical import to_json
from spaces.space import Recipe
from studies.images.cache_entry import IMAGES
from studies.images.image_cache import entry_folders
from studies.models.weights_file import weights_path

VERSION = 1
"""Version of the computation; features of other versions are never used."""

_HASHED_IMAGES = 256


def features_key(recipe: Recipe, images: Any, content: str, folder: Path, views: int, *, mirrored: bool = False) -> str:
    """Return the cache key of the features of some images.

    Args:
        recipe: Recipe with the backbone.
        images: (n, height, width, channels).
        content: Digest of the images from `content_digest`.
        folder: Folder to which paths of weights are relative.
        views: Number of augmented views per image; 0 for the original images.
        mirrored: Whether the images are mirrored.

    Raises:
        ModelError: The weights file does not exist.
    """
    import keras

    record = recipe.backbone
    parts = {
        "version": [VERSION, version("keras"), keras.backend.backend()],
        "network": [record.name, record.alpha, record.pooling],
        "weights": _weights(record, (*images.shape[1:3], 3), folder),
        "shape": [int(side) for side in images.shape],
        "content": content,
        "views": [views, to_json(recipe)["augment"] if views else None],
        **({"mirrored": True} if mirrored else {}),
    }
    return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=20).hexdigest()


def content_digest(images: Any, root: Path) -> str:
    """Return a digest of all images; for cached images their position in the cache, which depends on their content.

    Args:
        images: (n, height, width, channels).
    """
    if (position := _cache_position(images, root)) is not None:
        return position
    digest = hashlib.blake2b(digest_size=20)
    for start in range(0, len(images), _HASHED_IMAGES):
        digest.update(np.ascontiguousarray(images[start : start + _HASHED_IMAGES]).tobytes())
    return digest.hexdigest()


def _cache_position(images: Any, root: Path) -> str | None:
    """Return the cache entry and the byte offset of a slice of cached images; None for any other array."""
    if not isinstance(images, np.memmap) or not images.flags.c_contiguous or not len(images):
        return None
    file = Path(str(images.filename))
    if file.name != IMAGES or file.parent not in entry_folders(root):
        return None
    whole: Any = images
    while isinstance(whole.base, np.memmap):
        whole = whole.base
    start = images.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
    return f"{file.parent.name}+{start}"


def _weights(record: Pretrained, image_shape: tuple[int, ...], folder: Path) -> str:
    """Return a digest of the weights; for weights that Keras downloads and verifies, its version is enough."""
    from studies.models.pretrained import make_network
    from studies.models.weights_find import digest_of, file_in_folder

    if record.weights != "imagenet":
        return digest_of(weights_path(record, folder))
    found = file_in_folder(record, image_shape, lambda: make_network(record, image_shape))
    return "imagenet" if found is None else digest_of(found)
