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


class Watch(keras.callbacks.Callback):
    """Records memory after the first batch, and its maximum."""

    def __init__(self) -> None:
        super().__init__()
        self.first = self.peak = 0

    def on_train_batch_end(self, batch, logs=None):
        self.first = self.first or anonymous_bytes()
        self.peak = max(self.peak, anonymous_bytes())

    on_test_batch_end = on_train_batch_end


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_training_on_a_large_cache_uses_constant_memory(tmp_path):
    """Training and validation on a memory-mapped gigabyte do not load it."""
    np.lib.format.open_memmap(tmp_path / "images.npy", "w+", np.uint8, (IMAGES, SIDE, SIDE, 3)).flush()
    images = np.load(tmp_path / "images.npy", mmap_mode="r")
    split = Split(images, np.arange(IMAGES) % 2)
    layers = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((SIDE, SIDE, 3)), *layers])
    model.compile("sgd", keras.losses.BinaryCrossentropy(from_logits=True))
    feed, watch = training_feed(split, 512, seed=0), Watch()
    validation = evaluation_data(split, 512)
    model.fit(**feed.inputs, epochs=1, validation_data=validation, callbacks=[watch], verbose=0)
    assert images.nbytes > 7 * MAX_BYTES
    assert watch.peak - watch.first < MAX_BYTES
