"""Import Keras with a clear error if its backend is not installed."""

import os

from spaces.errors import ModelError


def require_backend(gpu_memory: int | None = None) -> None:
    """Import Keras.

    Args:
        gpu_memory: Memory limit for each GPU in bytes; JAX reads it from its own environment variable.

    Raises:
        ModelError: The backend set by KERAS_BACKEND or by Keras' own settings cannot be imported.
    """
    try:
        import keras
    except (ImportError, ValueError) as error:
        name = os.environ.get("KERAS_BACKEND", "tensorflow")
        raise ModelError(
            f"the Keras backend {name!r} cannot be imported ({error})\nhint: install it, or set KERAS_BACKEND"
        ) from error
    if gpu_memory is not None and keras.backend.backend() == "tensorflow":
        from studies.backend.tensorflow_memory import limit_gpu_memory

        limit_gpu_memory(gpu_memory)
