"""Names of features, from everything that they depend on: a change of any of it gives another name."""

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
"""Of the way in which features are computed; those of another version are never found again."""

_HASHED_IMAGES = 256


def features_key(recipe: Recipe, images: Any, content: str, folder: Path, views: int) -> str:
    """The name of the features of some images.

    Args:
        recipe: Its backbone gives the features.
        images: (n, height, width, channels).
        content: What `content_digest` says of the images.
        folder: Where a relative path of weights starts.
        views: Changed views of each image, by the recipe's augmentation; 0 for the images as they are.

    Raises:
        ModelError: The file of weights does not exist.
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
    }
    return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=20).hexdigest()


def content_digest(images: Any, root: Path) -> str:
    """A digest of all images; of decoded ones in the cache, their place there, which follows from their content.

    Args:
        images: (n, height, width, channels).
        root: The cache folder of decoded images.
    """
    if (place := _place_in_cache(images, root)) is not None:
        return place
    digest = hashlib.blake2b(digest_size=20)
    for start in range(0, len(images), _HASHED_IMAGES):
        digest.update(np.ascontiguousarray(images[start : start + _HASHED_IMAGES]).tobytes())
    return digest.hexdigest()


def _place_in_cache(images: Any, root: Path) -> str | None:
    """The cache entry and the first row of a slice of it; None for any other array."""
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
    """A digest of the weights; for those that Keras downloads and checks itself its version is enough."""
    from studies.models.pretrained import make_network
    from studies.models.weights_find import digest_of, file_in_folder

    if record.weights != "imagenet":
        return digest_of(weights_path(record, folder))
    found = file_in_folder(record, image_shape, lambda: make_network(record, image_shape))
    return "imagenet" if found is None else digest_of(found)
