"""Weights files for tests, in each format that Keras reads."""

import shutil
from functools import partial

import h5py
import keras
import numpy as np

from studies.backend.quiet import quiet_keras

SHAPE = (32, 32, 3)


def mobilenet(alpha=0.25, *, top=False, classes=1000, name="MobileNet"):
    """Return a small network of Keras with random weights of its own."""
    options = {"classes": classes} if top else {}
    with quiet_keras():
        network = getattr(keras.applications, name)(
            weights=None, include_top=top, input_shape=SHAPE, alpha=alpha, **options
        )
    random = np.random.default_rng(1)
    network.set_weights([random.normal(size=weight.shape) for weight in network.get_weights()])
    return network


def write_current(network, path, save="save_weights", name="written.weights.h5"):
    """Write Keras' current format under any name."""
    with quiet_keras():
        getattr(network, save)(path.with_name(name))
    shutil.move(path.with_name(name), path)


def write_legacy(network, path, *, inside=None):
    """Write the legacy format, which Keras reads but no longer writes: the weights by layer and name."""
    with h5py.File(path, "w") as file:
        out = file.create_group(inside) if inside else file
        out.attrs["layer_names"] = [layer.name.encode() for layer in network.layers]
        for layer in network.layers:
            group = out.create_group(layer.name)
            names = [f"{layer.name}/{weight.name}" for weight in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, value in zip(names, layer.get_weights(), strict=True):
                group[name] = value


WRITERS = {
    "current": write_current,
    "archive": partial(write_current, save="save", name="written.keras"),
    "legacy": write_legacy,
    "legacy model": partial(write_legacy, inside="model_weights"),
}
