"""The backend of Keras, which may be set to one that is not installed."""

import os

from spaces.errors import ModelError


def require_backend() -> None:
    """Import Keras.

    Raises:
        ModelError: The backend that KERAS_BACKEND or Keras' own settings name cannot be imported.
    """
    try:
        import keras  # noqa: F401
    except (ImportError, ValueError) as error:
        name = os.environ.get("KERAS_BACKEND", "tensorflow")
        raise ModelError(
            f"the Keras backend {name!r} cannot be imported ({error}): install it, or set KERAS_BACKEND"
        ) from error
