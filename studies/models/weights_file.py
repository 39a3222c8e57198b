"""Finds the weights file of a recipe, without importing Keras, so that a missing backend can be reported first."""

from pathlib import Path

from spaces.backbones import Pretrained
from spaces.errors import ModelError


def weights_path(record: Pretrained, folder: Path) -> Path:
    """Return the path of a network's weights file.

    Args:
        record: The record, with a file as weights.
        folder: Folder to which the path is relative.

    Raises:
        ModelError: There is no such file.
    """
    path = folder / Path(record.weights or "").expanduser()
    if not path.is_file():
        raise ModelError(
            f"backbone: weights file {path.absolute()} not found\n"
            f"hint: pass its path: Pretrained({record.name!r}, weights=...)"
        )
    return path
