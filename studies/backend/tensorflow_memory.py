"""Limit the GPU memory that TensorFlow uses."""

import tensorflow as tf

from spaces.errors import ModelError


def limit_gpu_memory(limit: int) -> None:
    """Limit the memory that TensorFlow uses of each GPU, in bytes.

    Raises:
        ModelError: TensorFlow has already started its GPUs, because the space file has used them.
    """
    gpus = tf.config.list_physical_devices("GPU")
    try:
        for gpu in gpus:
            limited = tf.config.LogicalDeviceConfiguration(memory_limit=limit // 2**20)
            tf.config.set_logical_device_configuration(gpu, [limited])
    except RuntimeError as error:
        raise ModelError(
            "--gpu-memory must be applied before the GPU is used\nhint: do not run Keras code at module level in the "
            "space file, only inside its functions"
        ) from error
