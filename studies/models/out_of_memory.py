"""Recognises errors that mean a device ran out of memory, which is not a fault of the recipe."""

_SIGNS = ("resourceexhausted", "resource_exhausted", "out of memory", "memoryerror", "unable to allocate")


def is_out_of_memory(error: BaseException) -> bool:
    """Return True if an error of Python, NumPy, TensorFlow or JAX means that memory ran out."""
    text = f"{type(error).__name__}: {error}".lower()
    return any(sign in text for sign in _SIGNS)
