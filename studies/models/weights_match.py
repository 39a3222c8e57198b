"""Compares a weights file with a network, layer by layer, and loads it."""

import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import keras
import numpy as np

from spaces.errors import ModelError
from studies.models.out_of_memory import is_out_of_memory
from studies.models.weights_content import (
    FileLayer,
    Shape,
    WeightsContent,
    is_archive,
    legacy_arrays,
    legacy_root,
    open_weights,
)


def first_difference(network: keras.Model, content: WeightsContent) -> str | None:
    """Return the first difference between a network and a weights file, or None if the file fits.

    A file may hold more layers than the network after its last one: the top of the same network.
    """
    for layer, found in _pair_layers(network, content):
        expected = [tuple(weight.shape) for weight in in_legacy_order(layer)]
        shapes = list(found.shapes) if found else []
        if not content.is_legacy:
            expected, shapes = sorted(expected), sorted(shapes)
        if expected != shapes:
            return _difference(layer, found, expected, shapes)
    return None


def load_legacy(network: keras.Model, path: Path) -> None:
    """Copy the weights of a legacy file, without those of a top, into a network that it fits, layer by layer."""
    layers = [layer for layer in network.layers if layer.weights]
    with open_weights(path) as file:
        for layer, (_, arrays) in zip(layers, legacy_arrays(legacy_root(file)), strict=False):
            for variable, array in zip(in_legacy_order(layer), arrays, strict=True):
                variable.assign(np.asarray(array))


def load_current(network: keras.Model, path: Path) -> None:
    """Load a file in Keras' current format, or a `.keras` archive, through a link with a name that Keras recognises.

    Raises:
        ModelError: Some of the network's weights are missing in the file.
    """
    # Keras keeps weights that are missing in the file, at most with a warning. NaN marks them.
    network.set_weights([_filled_with_nan(weight) for weight in network.get_weights()])
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / ("network.keras" if is_archive(path) else "network.weights.h5")
        link.symlink_to(path.absolute())
        try:
            network.load_weights(link)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0]
            raise ModelError(reason) from error
    missing = sum(bool(np.isnan(weight).any()) for weight in network.get_weights())
    if missing:
        raise ModelError(f"{missing} of {len(network.weights)} weights are missing or not finite")


def in_legacy_order(layer: Any) -> Sequence[Any]:
    """Return a layer's weights in the order of legacy files: trainable weights first."""
    weights: list[Any] = [*layer.trainable_weights, *layer.non_trainable_weights]
    return weights


def _pair_layers(network: keras.Model, content: WeightsContent) -> Iterator[tuple[Any, FileLayer | None]]:
    """Yield each layer of the network that has weights with its counterpart in the file."""
    if content.is_legacy:
        layers = [layer for layer in network.layers if layer.weights]
        yield from zip_longest(layers, content.layers[: len(layers)])
        return
    by_name = {layer.name: layer for layer in content.layers}
    counted: Counter[str] = Counter()
    for layer in network.layers:
        kind = _snake_case(type(layer).__name__)
        name = f"{kind}_{counted[kind]}" if counted[kind] else kind
        counted[kind] += 1
        if layer.weights:
            yield layer, by_name.get(name)


def _difference(layer: Any, found: FileLayer | None, expected: list[Shape], shapes: list[Shape]) -> str:
    if found is None:
        return f"the file has no layer for {layer.name}"
    for ours, theirs in zip_longest(expected, shapes):
        if ours != theirs:
            return (
                f"the first layer that differs is {layer.name}: the network has {_shape(ours)}, "
                f"the file has {_shape(theirs)} ({found.name})"
            )
    return f"layer {layer.name} differs"


def _shape(shape: Shape | None) -> str:
    return "no such weight" if shape is None else "x".join(str(side) for side in shape) or "one number"


def _filled_with_nan(weight: np.ndarray) -> np.ndarray:
    return np.full_like(weight, np.nan) if np.issubdtype(weight.dtype, np.floating) else weight


def _snake_case(name: str) -> str:
    """Return the name under which Keras' current format stores a layer of this class."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
