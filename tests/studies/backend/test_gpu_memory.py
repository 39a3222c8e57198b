"""The memory of a GPU that a worker may use, tested without a GPU."""

from unittest.mock import Mock, call

import pytest

from spaces.errors import ModelError
from studies.backend import tensorflow_memory


def test_each_gpu_is_limited_unless_it_is_in_use(monkeypatch):
    """TensorFlow counts in MiB; the error says what in the space file has started the GPU."""
    config = Mock(LogicalDeviceConfiguration=lambda memory_limit: memory_limit)
    config.list_physical_devices.return_value = ["GPU:0", "GPU:1"]
    monkeypatch.setattr(tensorflow_memory.tf, "config", config)
    tensorflow_memory.limit_gpu_memory(8 * 2**30)
    limit = config.set_logical_device_configuration
    assert limit.call_args_list == [call("GPU:0", [8192]), call("GPU:1", [8192])]
    limit.side_effect = RuntimeError("Virtual devices cannot be modified after being initialized")
    with pytest.raises(ModelError, match="at module level in the space file"):
        tensorflow_memory.limit_gpu_memory(8 * 2**30)
