"""A small export of a CNN on real digits, and the parts that it is made of."""

from pathlib import Path

import keras
import numpy as np
from sklearn.datasets import load_digits

from spaces import CNN, Digits, Space, to_json
from studies.export.writer import export_model
from studies.models.build import build_inference_model
from studies.training.scores import compute_scores, predict_probabilities

SHAPE = (8, 8, 1)
RECIPE = Space(data=Digits(), backbone=CNN(4, 1), augment=None, dropout=0.1)


def digit_images(count=12):
    """Real digits (count, 8, 8, 1) uint8."""
    return (load_digits().images[:count, :, :, None] * 255 / 16).astype(np.uint8)


def digit_model(classes=10):
    """An untrained inference model, always the same."""
    keras.utils.set_random_seed(3)
    return build_inference_model(RECIPE, SHAPE, classes)


def metrics_of(model, labels):
    """What a search would write into `metrics.json`."""
    images, true = digit_images(60), load_digits().target[:60] % len(labels)
    test = compute_scores(predict_probabilities(model, images), true, labels).to_json()
    return {
        "study": "digits",
        "metric": "val_accuracy",
        "trials": {"complete": 7, "pruned": 2, "failed": 1},
        "baseline": {"value": 0.91},
        "best": {"number": 4, "value": 0.98, "epoch": 6, "params": {"dropout": 0.2, "backbone.cnn.filters": 32}},
        "test": test,
        "seconds": {"search": 10.0, "retrain": 2.0, "export": 1.0},
    }


def export_digits(folder: Path, classes=10, **changes):
    """Export the model and return it with the content of `metrics.json`."""
    model = digit_model(classes)
    labels = [str(digit) for digit in range(classes)]
    parts = {
        "labels": labels,
        "image_shape": SHAPE,
        "resize": "stretch",
        "recipe_json": to_json(RECIPE),
        "metrics": lambda exports: metrics_of(model, labels),
        "samples": digit_images(),
    }
    return model, export_model(model, folder, **{**parts, **changes})
