"""How much of its GPU TensorFlow takes."""

import tensorflow as tf

from spaces.errors import ModelError


def limit_gpu_memory(limit: int) -> None:
    """Let TensorFlow take at most so many bytes of each GPU that it sees.

    Raises:
        ModelError: It has started its GPUs, for which the space file must have used them.
    """
    gpus = tf.config.list_physical_devices("GPU")
    try:
        for gpu in gpus:
            limited = tf.config.LogicalDeviceConfiguration(memory_limit=limit // 2**20)
            tf.config.set_logical_device_configuration(gpu, [limited])
    except RuntimeError as error:
        raise ModelError(
            "--gpu-memory: the GPU was in use before its memory could be limited: do not compute with Keras at the top "
            "of the space file, only inside its functions"
        ) from error
