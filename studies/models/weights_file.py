"""Where a file of weights is. Imports no Keras, so that a missing backend can be reported first."""

from pathlib import Path

from spaces.backbones import Pretrained
from spaces.errors import ModelError


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
