"""The form of a checkpoint: it gives back what was put in, or nothing."""

import hashlib
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from studies.checkpoints.checkpoint_file import TrainingState, UnreadableError, decode, encode

DTYPES = st.sampled_from([np.float32, np.float64, np.float16, np.int64, np.uint32, np.uint8, np.bool_])
ARRAYS = DTYPES.flatmap(lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=3, max_side=4)))
SMALL = TrainingState(
    3, {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array(7)}, {"history": [{"loss": 0.5}]}
)


def content_of(snapshot, fingerprint=""):
    return b"".join(encode(snapshot, fingerprint))


@given(st.integers(1, 10**6), st.dictionaries(st.text(max_size=5), ARRAYS, max_size=4))
def test_arrays_come_back_bit_by_bit(epoch, held):
    """Names, types, shapes and every bit of the numbers, also of NaN and -0.0."""
    found = decode(content_of(TrainingState(epoch, held, {})), "")
    assert found.epoch == epoch
    assert list(found.arrays) == list(held)
    for name, array in held.items():
        assert (found.arrays[name].dtype, found.arrays[name].shape) == (array.dtype, array.shape)
        assert found.arrays[name].tobytes() == array.tobytes()


def test_numbers_of_the_state_come_back_exactly():
    """Metrics are the same floats after reading, also those that JSON has no word for."""
    values = [0.1, 1 / 3, 5e-324, math.inf]
    found = decode(content_of(TrainingState(1, {}, {"values": values, "nothing": math.nan})), "")
    assert found.state["values"] == values
    assert math.isnan(found.state["nothing"])


def test_bfloat16_comes_back():
    """A network may hold its weights in a type that NumPy alone does not know."""
    import ml_dtypes

    array = np.array([1.5, -2.0], ml_dtypes.bfloat16)
    found = decode(content_of(TrainingState(1, {"a": array}, {})), "").arrays["a"]
    assert found.dtype == array.dtype
    assert found.tobytes() == array.tobytes()


@given(st.data())
def test_any_changed_byte_is_noticed(data):
    """A checkpoint with one other byte, or without its end, is never used."""
    content = content_of(SMALL)
    position = data.draw(st.integers(0, len(content) - 1))
    changed = bytes([content[position] ^ data.draw(st.integers(1, 255))])
    for torn in (content[:position], content[:position] + changed + content[position + 1 :]):
        with pytest.raises(UnreadableError):
            decode(torn, "")


def test_another_recipes_checkpoint_is_refused():
    """Weights of something else are never taken for a trial's own."""
    content = content_of(SMALL, "dropout 0.1")
    assert decode(content, "dropout 0.1").epoch == 3
    with pytest.raises(UnreadableError, match="another recipe"):
        decode(content, "dropout 0.2")


def test_python_objects_are_neither_written_nor_read():
    """Nothing that is read could be executed, even where somebody made the check sum fit."""
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
