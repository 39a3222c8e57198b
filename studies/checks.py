"""What can be seen to go wrong before the first trial."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spaces.backbones import Pretrained
from spaces.errors import ModelError, SpaceError
from spaces.parameters import Choice, Int
from spaces.records import Record
from spaces.space import Space

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
        changes["batch_size"] = Choice(*([n for n in batch_size.options if n <= images] or [min(16, images)]))
    elif (largest := _largest(batch_size)) > images:
        raise SpaceError(f"batch_size: {largest} is larger than the {images} training images: give at most {images}")
    return dataclasses.replace(space, **changes)


def check_weights(space: Space, folder: Path) -> None:
    """Make sure that every file of weights in the space is there.

    Raises:
        ModelError: One is not.
    """
    for record in _records(space):
        if isinstance(record, Pretrained):
            for weights in record.weights.options if isinstance(record.weights, Choice) else [record.weights]:
                if weights not in (None, "imagenet") and not (folder / weights).is_file():
                    raise ModelError(
                        f"the weights of {record.name} are not there: {(folder / weights).absolute()} is not a file"
                    )


def _largest(batch_size: Any) -> int:
    if isinstance(batch_size, Int):
        return batch_size.high
    return max(batch_size.options) if isinstance(batch_size, Choice) else int(batch_size)


def _records(value: Any) -> Iterator[Record]:
    """Every record in a tree."""
    if isinstance(value, Record):
        yield value
        for child, _ in value.children().values():
            yield from _records(child)
    elif isinstance(value, Choice):
        for option in value.options:
            yield from _records(option)
    elif isinstance(value, tuple):
        for child in value:
            yield from _records(child)
