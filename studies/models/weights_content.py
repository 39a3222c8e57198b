"""Reads the layers of a weights file and the shapes of their weights, whatever the file's name."""

import hashlib
import io
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from spaces.errors import ModelError

Shape = tuple[int, ...]

MEMBER = "model.weights.h5"
"""Name of the weights file inside a `.keras` archive."""

IGNORED_SHAPES = ((), (3,))
"""Shapes of the statistics of `Normalization`, which only some files of a network contain."""


@dataclass(frozen=True)
class FileLayer:
    """Layer in a weights file.

    Args:
        name: Name in the file.
        shapes: Shapes of the weights, in the layer's order in legacy files, otherwise in the order of their paths.
    """

    name: str
    shapes: tuple[Shape, ...]


@dataclass(frozen=True)
class WeightsContent:
    """Content of a weights file.

    Args:
        is_legacy: Whether the file has Keras' legacy HDF5 format, which lists layers in order; the current format
            names them by class and number.
        layers: Layers with weights, in the network's order in legacy files.
    """

    is_legacy: bool
    layers: tuple[FileLayer, ...]

    @property
    def fingerprint(self) -> str:
        """Digest of all shapes, the same for a network in either format."""
        return fingerprint_of(shape for layer in self.layers for shape in layer.shapes)


def fingerprint_of(shapes: Any) -> str:
    """Return a digest of the shapes of a network's weights that does not depend on their order."""
    counted = sorted(tuple(int(side) for side in shape) for shape in shapes if tuple(shape) not in IGNORED_SHAPES)
    return hashlib.blake2b(repr(counted).encode(), digest_size=8).hexdigest()


def is_weights_file(path: Path) -> bool:
    """Return True if the file is HDF5 or a `.keras` archive, judged by its content."""
    return bool(h5py.is_hdf5(path)) or is_archive(path)


def is_archive(path: Path) -> bool:
    """Return True if the file is a `.keras` archive, under any name."""
    try:
        with zipfile.ZipFile(path) as archive:
            return MEMBER in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def read_content(path: Path) -> WeightsContent:
    """Return the layers of a weights file.

    Args:
        path: A file in Keras' legacy or current HDF5 format, or a `.keras` archive, under any name.

    Raises:
        ModelError: The file cannot be read, or contains no weights.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise ModelError(f"cannot read the weights file {path}: {error.strerror}") from error
    return _read(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=256)
def _read(path: Path, mtime_ns: int, size: int) -> WeightsContent:
    with open_weights(path) as file:
        root = legacy_root(file)
        try:
            layers = _legacy_layers(root) if root is not None else _current_layers(file)
        except (AttributeError, TypeError):
            # Data of another program may have groups where Keras has data sets.
            layers = ()
    if not layers:
        raise ModelError(f"no Keras weights in {path}")
    return WeightsContent(root is not None, layers)


def check_finite(path: Path) -> None:
    """Check that no weight in a file that `read_content` can read is NaN or infinite.

    Raises:
        ModelError: A weight is not finite; names its layer.
    """
    with open_weights(path) as file:
        root = legacy_root(file)
        for layer, arrays in legacy_arrays(root) if root is not None else _current_arrays(file["layers"]):
            if not all(np.isfinite(array[()]).all() for array in arrays if array.dtype.kind == "f"):
                raise ModelError(
                    f"backbone: NaN or infinite weights in {path}, layer {layer}, as after a diverged training\n"
                    "hint: use another file"
                )


@contextmanager
def open_weights(path: Path) -> Iterator[h5py.File]:
    """Open a weights file or the weights inside a `.keras` archive for reading.

    Raises:
        ModelError: The file is neither HDF5 nor a `.keras` archive, is damaged, or cannot be read.
    """
    try:
        with path.open("rb") as raw:
            is_zip = not h5py.is_hdf5(path) and zipfile.is_zipfile(raw)
            source = io.BytesIO(zipfile.ZipFile(raw).read(MEMBER)) if is_zip else raw
            with h5py.File(source, "r") as file:
                yield file
    except OSError as error:
        reason = error.strerror or "not an HDF5 file, or damaged"
        raise ModelError(f"cannot read the weights file {path}: {reason}") from error
    except (KeyError, RuntimeError, ValueError, zipfile.BadZipFile) as error:
        raise ModelError(f"cannot read the weights file {path}: no Keras weights, or damaged") from error


def legacy_root(file: h5py.File) -> Any:
    """Return the group that lists the layers in Keras' legacy format; None in the current format.

    A whole legacy model keeps its weights in a group of their own.
    """
    if "layer_names" in file.attrs:
        return file
    model = file.get("model_weights")
    return model if isinstance(model, h5py.Group) and "layer_names" in model.attrs else None


def legacy_arrays(root: Any) -> Iterator[tuple[str, list[Any]]]:
    """Yield each layer that has weights, in order, with its data sets."""
    for layer in attribute(root, "layer_names"):
        group = root[layer]
        names = attribute(group, "weight_names")
        if names:
            yield layer, [group[name] for name in names]


def attribute(group: Any, name: str) -> list[str]:
    """Return a list of names from an attribute, which Keras splits into several if it is long."""
    parts = [group.attrs[name]] if name in group.attrs else []
    while f"{name}{len(parts)}" in group.attrs:
        parts.append(group.attrs[f"{name}{len(parts)}"])
    return [text.decode() if isinstance(text, bytes) else str(text) for part in parts for text in part]


def _legacy_layers(root: Any) -> tuple[FileLayer, ...]:
    return tuple(FileLayer(name, tuple(tuple(array.shape) for array in arrays)) for name, arrays in legacy_arrays(root))


def _current_layers(file: h5py.File) -> tuple[FileLayer, ...]:
    """Return the layers of the current format that have weights."""
    groups = file.get("layers")
    if not isinstance(groups, h5py.Group):
        return ()
    found = (FileLayer(name, tuple(_shapes(groups[name]))) for name in sorted(groups, key=_natural))
    return tuple(layer for layer in found if layer.shapes)


def _shapes(group: Any) -> Iterator[Shape]:
    """Yield the shapes of all weights below a group; the states of random generators are not weights."""
    for name in sorted(group, key=_natural):
        child = group[name]
        if isinstance(child, h5py.Dataset):
            yield tuple(child.shape)
        elif name != "seed_generator":
            yield from _shapes(child)


def _current_arrays(groups: Any) -> Iterator[tuple[str, list[Any]]]:
    for name in groups:
        found: list[Any] = []
        groups[name].visititems(lambda _, item, found=found: found.append(item))
        yield name, [item for item in found if isinstance(item, h5py.Dataset)]


def _natural(name: str) -> str:
    """Return a key that sorts names by their numbers: `conv2d_2` before `conv2d_10`."""
    return re.sub(r"\d+", lambda number: number[0].zfill(9), name)
