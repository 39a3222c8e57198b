"""Checks before the first trial that the weights of all pretrained networks in a space are available and fit."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import keras

from spaces.backbones import Pretrained
from spaces.errors import ModelError
from spaces.parameters import Choice, Float, Int
from spaces.space import Space, records_in
from studies.backend.quiet import quiet_keras
from studies.models.known_weights import network_of, widths_of
from studies.models.pretrained import make_network
from studies.models.weights import check_fit
from studies.models.weights_content import check_finite, read_content
from studies.models.weights_file import weights_path
from studies.models.weights_find import imagenet_file
from studies.models.weights_match import first_difference

_ANY_SHAPE = (64, 64, 3)
"""Weights without a top do not depend on the image size."""


def prepare_weights(space: Space, folder: Path, image_shape: tuple[int, ...], notice: Callable[[str], None]) -> Space:
    """Check the weights of a space's pretrained networks, and download missing ones.

    Args:
        folder: Folder to which paths of weights are relative.
        image_shape: (height, width, channels) of the images.

    Returns:
        The space, with the width multiplier of each weights file where the user left it out.

    Raises:
        ModelError: A file does not fit its network, or ImageNet weights cannot be found or downloaded.
    """
    space = _with_widths(space, folder)
    files: set[Path] = set()
    variants = (variant for found in _pretrained(space) for variant in _variants(found))
    for record in dict.fromkeys(part for variant in variants for part in variant.parts):
        if record.weights == "imagenet":
            imagenet_file(record, (*image_shape[:2], 3), partial(_network, record, image_shape), notice)
        elif record.weights is not None:
            path = weights_path(record, folder)
            files.add(path)
            if not _is_known_to_fit(record, path):
                check_fit(_network(record, image_shape), record, path)
    for path in sorted(files):
        check_finite(path)
    return space


def _with_widths(space: Space, folder: Path) -> Space:
    backbone: Any = space.backbone
    if isinstance(backbone, Pretrained):
        return dataclasses.replace(space, backbone=_with_width(backbone, folder))
    if isinstance(backbone, Choice):
        return dataclasses.replace(
            space, backbone=backbone.with_mapped_options(lambda option: _with_width(option, folder))
        )
    return space


def _with_width(record: Any, folder: Path) -> Any:
    """Return the record with the width multiplier of its weights file, if it has none itself."""
    if not isinstance(record, Pretrained) or record.alpha is not None:
        return record
    widths = {_width_of_files(variant, folder) for variant in _variants(record)}
    if len(widths) > 1:
        files = ", ".join(sorted(str(width) for width in widths if width is not None))
        raise ModelError(f"backbone: the weights of {record.name} have different widths ({files})\nhint: set alpha")
    width = widths.pop()
    return record if width is None else dataclasses.replace(record, alpha=width)


def _width_of_files(record: Pretrained, folder: Path) -> Any:
    """Return the width of a record's weights file, or the widths of several networks; None if there is none."""
    widths = tuple(_width_of_file(part, folder) for part in record.parts)
    return widths if isinstance(record.name, tuple) else widths[0]


def _width_of_file(record: Pretrained, folder: Path) -> float | None:
    """Return the width multiplier of a weights file: 1 for ImageNet weights, None if there is none."""
    widths = widths_of(record.name)
    if not widths or record.weights is None:
        return None
    if record.weights == "imagenet":
        return 1.0
    content = read_content(weights_path(record, folder))
    if known := network_of(content):
        return known.alpha if known.name == record.name else None
    # The file has a top for other classes than ImageNet's.
    networks = ((width, _network(dataclasses.replace(record, alpha=width), _ANY_SHAPE)) for width in widths)
    return next((width for width, network in networks if first_difference(network, content) is None), None)


def _is_known_to_fit(record: Pretrained, path: Path) -> bool:
    """Return True if the shapes of its weights identify the file as one of this network."""
    known = network_of(read_content(path))
    return known is not None and (known.name, known.alpha) == (record.name, record.alpha)


def _network(record: Pretrained, image_shape: tuple[int, ...]) -> keras.Model:
    with quiet_keras():
        return make_network(record, (*image_shape[:2], 3))


def _pretrained(space: Space) -> Iterator[Pretrained]:
    return (record for record in records_in(space) if isinstance(record, Pretrained))


def _variants(record: Pretrained) -> Iterator[Pretrained]:
    """Yield the record with every combination of the options of its name, weights and width."""
    fields = {name: _options(getattr(record, name)) for name in ("name", "weights", "alpha")}
    for values in product(*fields.values()):
        yield dataclasses.replace(record, **dict(zip(fields, values, strict=True)))


def _options(value: Any) -> Sequence[Any]:
    if isinstance(value, Choice):
        return value.options
    return (value.default,) if isinstance(value, Int | Float) else (value,)
