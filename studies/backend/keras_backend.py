"""Import Keras with a clear error if its backend is not installed, and find its folder."""

import os
from pathlib import Path

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


def keras_home() -> Path:
    """Return the folder in which Keras stores what it downloads."""
    if home := os.environ.get("KERAS_HOME"):
        return Path(home).expanduser()
    user = Path("~").expanduser()
    return (user if os.access(user, os.W_OK) else Path("/tmp")) / ".keras"
