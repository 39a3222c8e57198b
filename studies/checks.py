"""What can be seen to go wrong before the first trial."""

import dataclasses
from pathlib import Path
from typing import Any

from spaces.backbones import Pretrained
from spaces.errors import ModelError, SpaceError
from spaces.parameters import Choice, Int
from spaces.space import Space, records_in

FEWEST_EPOCHS, MOST_EPOCHS, IMAGES_PER_TRIAL = 10, 30, 400_000
DEFAULT_BATCH_SIZE: Any = Space.__dataclass_fields__["batch_size"].default


def fitted(space: Space, images: int) -> Space:
    """The space with the epochs and the batch size that suit the images, where the user left them to us.

    Args:
        space: The space as written.
        images: Number of training images.

    Raises:
        SpaceError: A batch size that the user chose is larger than the data.
    """
    changes: dict[str, Any] = {}
    if space.epochs is None:
        changes["epochs"] = min(MOST_EPOCHS, max(FEWEST_EPOCHS, IMAGES_PER_TRIAL // images))
    batch_size: Any = space.batch_size
    if batch_size == DEFAULT_BATCH_SIZE:
        sizes = [size for size in batch_size.options if size <= images] or [min(16, images)]
        changes["batch_size"] = Choice(*sizes, default=min(batch_size.default, sizes[-1]))
    elif (largest := _largest(batch_size)) > images:
        raise SpaceError(f"batch_size: {largest} is larger than the {images} training images: give at most {images}")
    return dataclasses.replace(space, **changes)


def check_weights(space: Space, folder: Path) -> None:
    """Make sure that every file of weights in the space is there.

    Raises:
        ModelError: One is not.
    """
    for record in records_in(space):
        if isinstance(record, Pretrained):
            every = record.weights.options if isinstance(record.weights, Choice) else (record.weights,)
            for weights in every:
                if weights not in (None, "imagenet"):
                    weights_path(dataclasses.replace(record, weights=weights), folder)


def weights_path(record: Pretrained, folder: Path) -> Path:
    """The file of a network's weights.

    Args:
        record: The network; its weights are a file.
        folder: Where a relative path starts.

    Raises:
        ModelError: There is no such file.
    """
    path = folder / Path(record.weights or "").expanduser()
    if not path.is_file():
        raise ModelError(
            f"backbone: the file of weights {path.absolute()} does not exist: "
            f"give its path in Pretrained({record.name!r}, weights=...)"
        )
    return path


def _largest(batch_size: Any) -> int:
    if isinstance(batch_size, Int):
        return batch_size.high
    return max(batch_size.options) if isinstance(batch_size, Choice) else int(batch_size)
