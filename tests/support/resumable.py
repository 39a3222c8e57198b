"""Trainings of every kind that save each epoch, so that a test can resume them from any of them."""

from dataclasses import replace
from functools import cache
from typing import NamedTuple

import keras
import numpy as np
from keras import layers

from spaces import SGD, Adam, AdamW, Augment, Constant, Cosine, Custom, FineTune, Pretrained, Space
from studies.checkpoints.checkpoint_file import decode, encode
from studies.data.dataset import Split
from studies.features.heads import build_head
from studies.models.build import build_model
from studies.training.result import EndReason, TrainingResult
from tests.support.fitting import SMALL, assert_same_weights, fit, noisy_images

AUGMENTED = replace(
    SMALL,
    augment=Augment(flip="horizontal", translation=0.1, rotation=0.1, brightness=0.1),
    dropout=0.3,
    optimizer=AdamW(weight_decay=0.01),
    schedule=Cosine(warmup=0.2),
    batch_size=16,
    epochs=4,
)
FINE_TUNED = replace(
    AUGMENTED,
    backbone=Pretrained("MobileNet", weights=None, alpha=0.25, dense_units=4),
    optimizer=Adam(),
    epochs=2,
    fine_tune=FineTune(layers=4, epochs=3, learning_rate=0.5),
)
HEAD = replace(FINE_TUNED, fine_tune=None, augment=None, epochs=3)
STALLED = {"learning_rate": 1e-12, "patience": 2, "augment": None, "schedule": Constant(), "epochs": 9}


class Case(NamedTuple):
    """A training, its number of epochs, and why it ends."""

    recipe: Space
    epochs: int
    train: Split = noisy_images(40, 0)
    validation: Split | None = noisy_images(16, 1)
    build: object = build_model
    end_reason: EndReason = EndReason.FINISHED


class EveryEpoch:
    """Saves the checkpoint of each epoch as bytes, and resumes from `content`."""

    is_due = is_quick = True

    def __init__(self, content=None):
        self.content, self.saved = content, {}

    def save(self, snapshot, *, copying_seconds):
        self.saved[snapshot.epoch] = b"".join(encode(snapshot, ""))

    def load(self):
        return self.content and decode(self.content, "")


def custom_network(recipe, input_shape, outputs):
    """Return a network with noise and with weights in bfloat16."""
    return keras.Sequential(
        [
            keras.Input(input_shape),
            layers.Rescaling(1 / 255),
            layers.GaussianNoise(0.2),
            layers.Flatten(),
            layers.Dense(4, dtype="bfloat16"),
            layers.Dense(outputs, dtype="float32"),
        ]
    )


def features(*shape):
    """Return training and validation features; the validation has one view."""
    splits = noisy_images(40, 0, shape=shape), noisy_images(16, 1, shape=(1, *shape[1:]) if shape[1:] else shape)
    return [Split((split.images / 255).astype(np.float32), split.labels) for split in splits]


CASES = {
    "augmented": Case(AUGMENTED, 4),
    "float16": Case(replace(AUGMENTED, precision="mixed_float16", optimizer=SGD(momentum=0.9), epochs=3), 3),
    "custom network": Case(replace(AUGMENTED, backbone=None, model=Custom(custom_network), epochs=2), 2),
    "another metric": Case(replace(AUGMENTED, metric="val_auc", balance="sampling", epochs=3), 3),
    "blind": Case(replace(AUGMENTED, epochs=2), 2, validation=None),
    "fine-tuned": Case(FINE_TUNED, 5),
    "blindly fine-tuned": Case(replace(FINE_TUNED, fine_tune=FineTune(layers=4, epochs=1)), 3, validation=None),
    "out of patience": Case(replace(AUGMENTED, **STALLED), 3, end_reason=EndReason.EARLY_STOPPED),
    "out of patience twice": Case(
        replace(FINE_TUNED, **STALLED, fine_tune=FineTune(epochs=9)), 5, end_reason=EndReason.EARLY_STOPPED
    ),
    "head on features": Case(HEAD, 3, *features(6), build_head),
    "head on views": Case(HEAD, 3, *features(3, 6), build_head),
}


def train_case(case: Case, checkpoints=None, **options) -> TrainingResult:
    """Train a case; `options` are those of `TrainingOptions`."""
    return fit(case.recipe, case.train, case.validation, build=case.build, checkpoints=checkpoints, **options)


@cache
def uninterrupted(name: str) -> tuple[TrainingResult, dict[int, bytes]]:
    """Return a training of a case, and the checkpoint of each of its epochs."""
    checkpoints = EveryEpoch()
    return train_case(CASES[name], checkpoints), checkpoints.saved


def assert_equal(one: TrainingResult, two: TrainingResult) -> None:
    """Compare all that two trainings led to."""
    for name in ("history", "best_epoch", "end_reason", "first_phase", "second_phase"):
        assert getattr(one, name) == getattr(two, name)
    np.testing.assert_equal((one.best_value, one.best_loss), (two.best_value, two.best_loss))
    assert_same_weights(one.model, two.model)
