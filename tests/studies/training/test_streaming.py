"""Training on more images than memory should hold."""

import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from studies.data.dataset import Split
from studies.training.feed import evaluation_data, training_feed

IMAGES, SIDE = 350_000, 32
MAX_BYTES = 2**27


def anonymous_bytes() -> int:
    """Return the memory of this process that is not backed by a file."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_training_on_a_large_cache_uses_constant_memory(tmp_path):
    """Training and validation on a memory-mapped gigabyte do not load it."""
    np.lib.format.open_memmap(tmp_path / "images.npy", "w+", np.uint8, (IMAGES, SIDE, SIDE, 3)).flush()
    split = Split(np.load(tmp_path / "images.npy", mmap_mode="r"), np.arange(IMAGES) % 2)
    layers = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((SIDE, SIDE, 3)), *layers])
    model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    used = []

    def record(batch, logs):
        used.append(anonymous_bytes())

    watch = keras.callbacks.LambdaCallback(on_train_batch_end=record, on_test_batch_end=record)
    feed = training_feed(split, 512, seed=0)
    model.fit(**feed.inputs, epochs=1, validation_data=evaluation_data(split, 512), callbacks=[watch], verbose=0)
    assert split.images.nbytes > 7 * MAX_BYTES
    assert max(used) - used[0] < MAX_BYTES
