"""Whether a device was too small for a recipe, which is no fault of the recipe."""

_SIGNS = ("resourceexhausted", "resource_exhausted", "out of memory", "memoryerror", "unable to allocate")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of Python, NumPy, TensorFlow or JAX says that memory ran out."""
    text = f"{type(error).__name__}: {error}".lower()
    return any(sign in text for sign in _SIGNS)
