"""Sets and restores the precision in which layers compute."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

_NON_FLOAT32 = ("mixed_float16", "mixed_bfloat16", "float16", "bfloat16", "float64")


@contextmanager
def precision(policy: str) -> Iterator[None]:
    """Build layers in `float32`, `mixed_bfloat16` or `mixed_float16`, then restore the previous policy."""
    with restore_precision():
        keras.config.set_dtype_policy(policy)
        yield


@contextmanager
def restore_precision() -> Iterator[None]:
    """Restore Keras' global dtype policy and float type, which user code may change."""
    policy, floats = keras.config.dtype_policy(), keras.config.floatx()
    try:
        yield
    finally:
        keras.config.set_floatx(floats)
        keras.config.set_dtype_policy(policy)


def non_float32_policy(network: keras.Model) -> str | None:
    """Return the first dtype policy of a network's layers that is not float32, or None."""
    names = [layer.dtype_policy.name for layer in network._flatten_layers(include_self=False)]
    return next((str(name) for name in names if name in _NON_FLOAT32), None)


def to_float32(config: Any) -> Any:
    """Return a layer's configuration with float32 as the precision of the layer and all layers inside it."""
    if isinstance(config, list | tuple):
        return [to_float32(each) for each in config]
    if not isinstance(config, dict):
        return config
    if config.get("class_name") == "DTypePolicy" and config["config"]["name"] in _NON_FLOAT32:
        return "float32"
    if isinstance(config.get("dtype"), str) and config["dtype"] in _NON_FLOAT32:
        config = {**config, "dtype": "float32"}
    return {key: to_float32(value) for key, value in config.items()}
