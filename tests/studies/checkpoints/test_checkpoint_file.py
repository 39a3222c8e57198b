"""A checkpoint file restores exactly what was encoded, or is refused."""

import hashlib
import json
import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as extra

from studies.checkpoints.checkpoint_file import TrainingState, UnreadableError, decode, encode

DTYPES = st.sampled_from([np.float32, np.float64, np.float16, np.int64, np.uint32, np.uint8, np.bool_])
ARRAYS = DTYPES.flatmap(lambda dtype: extra.arrays(dtype, extra.array_shapes(min_dims=0, max_dims=3, max_side=4)))
SMALL = TrainingState(
    3, {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array(7)}, {"history": [{"loss": 0.5}]}
)


def content_of(training_state, fingerprint=""):
    return b"".join(encode(training_state, fingerprint))


@given(st.integers(1, 10**6), st.dictionaries(st.text(max_size=5), ARRAYS, max_size=4))
@example(1, {"a": np.array([1.5, -2.0], ml_dtypes.bfloat16)})
def test_arrays_are_restored_bit_by_bit(epoch, arrays):
    """Names, types, shapes and all bits are restored, also of NaN, -0.0 and bfloat16."""
    found = decode(content_of(TrainingState(epoch, arrays, {})), "")
    assert (found.epoch, list(found.arrays)) == (epoch, list(arrays))
    for name, array in arrays.items():
        assert (found.arrays[name].dtype, found.arrays[name].shape) == (array.dtype, array.shape)
        assert found.arrays[name].tobytes() == array.tobytes()


def test_numbers_of_the_state_are_restored_exactly():
    """Metrics are restored exactly, also infinity and NaN, which JSON does not know."""
    values = [0.1, 1 / 3, 5e-324, math.inf]
    found = decode(content_of(TrainingState(1, {}, {"values": values, "nothing": math.nan})), "")
    assert found.state["values"] == values
    assert math.isnan(found.state["nothing"])


@given(st.data())
def test_damaged_content_is_refused(data):
    """A checkpoint with a changed byte or without its end is never used."""
    content = content_of(SMALL)
    position = data.draw(st.integers(0, len(content) - 1))
    changed = bytes([content[position] ^ data.draw(st.integers(1, 255))])
    for damaged in (content[:position], content[:position] + changed + content[position + 1 :]):
        with pytest.raises(UnreadableError):
            decode(damaged, "")


def test_python_objects_are_refused():
    """Python objects are neither written nor read, even if someone forges the checksum."""
    with pytest.raises((TypeError, ValueError)):
        encode(TrainingState(1, {"a": np.array([print])}, {}), "")
    content = content_of(SMALL)
    magic, length = content[:20], int.from_bytes(content[52:60], "little")
    head = json.loads(content[60 : 60 + length])
    head["arrays"] = [["a", "object", [1]]]
    forged = json.dumps(head).encode()
    body = len(forged).to_bytes(8, "little") + forged + content[60 + length :]
    with pytest.raises(UnreadableError, match="Python objects"):
        decode(magic + hashlib.sha256(body).digest() + body, "")
