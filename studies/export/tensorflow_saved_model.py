"""Writes and loads Keras models in TensorFlow's SavedModel format."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf


def write_saved_model(model: keras.Model, folder: Path) -> None:
    """Write a SavedModel with the endpoints `serve` (float32) and `serve_uint8`, both for images from 0 to 255."""
    shape = (None, *model.input_shape[1:])
    # Tracing takes most of the time for a large network, so both endpoints share one trace.
    call = tf.function(lambda images: model(images, training=False))
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serve",
        call,
        input_signature=[keras.InputSpec(shape=shape, dtype="float32", name="image")],
    )
    archive.add_endpoint(
        "serve_uint8",
        lambda images: call(tf.cast(images, tf.float32)),
        input_signature=[keras.InputSpec(shape=shape, dtype="uint8", name="image")],
    )
    archive.write_out(str(folder), verbose=False)


def saved_model_outputs(folder: Path, images: np.ndarray) -> list[np.ndarray]:
    """Return the outputs of each endpoint of a SavedModel for uint8 images (n, height, width, channels)."""
    # The endpoints hold no reference to the loaded object, which must outlive them.
    loaded = tf.saved_model.load(str(folder))
    return [
        loaded.serve(tf.constant(images, tf.float32)).numpy(),
        loaded.serve_uint8(tf.constant(images, tf.uint8)).numpy(),
    ]


def saved_model_network(folder: Path, image_shape: tuple[int, ...]) -> keras.Model:
    """Return a SavedModel as a Keras model for float32 images (n, height, width, channels)."""
    images = keras.Input(image_shape, dtype="float32")
    return keras.Model(images, keras.layers.TFSMLayer(str(folder), call_endpoint="serve")(images))
