"""How much of a GPU a worker takes, with GPUs that are none."""

from types import SimpleNamespace

import pytest

from spaces.errors import ModelError
from studies.backend import tensorflow_memory


def config(limit):
    """TensorFlow's configuration of two GPUs."""
    return SimpleNamespace(
        list_physical_devices=lambda kind: [f"{kind}:0", f"{kind}:1"],
        LogicalDeviceConfiguration=lambda memory_limit: memory_limit,
        set_logical_device_configuration=limit,
    )


def test_each_gpu_is_limited(monkeypatch):
    """TensorFlow counts in MiB."""
    limited = []
    monkeypatch.setattr(tensorflow_memory.tf, "config", config(lambda gpu, limits: limited.append((gpu, limits))))
    tensorflow_memory.limit_gpu_memory(8 * 2**30)
    assert limited == [("GPU:0", [8192]), ("GPU:1", [8192])]


@pytest.mark.slow
def test_a_gpu_in_use_cannot_be_limited(monkeypatch):
    """The message says what in the space file has started it."""

    def fail(gpu, limits):
        raise RuntimeError("Virtual devices cannot be modified after being initialized")

    monkeypatch.setattr(tensorflow_memory.tf, "config", config(fail))
    with pytest.raises(ModelError, match="at module level in the space file"):
        tensorflow_memory.limit_gpu_memory(8 * 2**30)
