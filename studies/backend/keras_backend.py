"""The backend of Keras, which may be set to one that is not installed."""

import os

from spaces.errors import ModelError


def require_backend(gpu_memory: int | None = None) -> None:
    """Import Keras.

    Args:
        gpu_memory: Most bytes that the backend may take of each GPU; JAX reads it from its own environment variable.

    Raises:
        ModelError: The backend that KERAS_BACKEND or Keras' own settings name cannot be imported.
    """
    try:
        import keras
    except (ImportError, ValueError) as error:
        name = os.environ.get("KERAS_BACKEND", "tensorflow")
        raise ModelError(
            f"the Keras backend {name!r} cannot be imported ({error}): install it, or set KERAS_BACKEND"
        ) from error
    if gpu_memory is not None and keras.backend.backend() == "tensorflow":
        from studies.backend.tensorflow_memory import limit_gpu_memory

        limit_gpu_memory(gpu_memory)
