"""Whole runs of hypermodels: search, resuming, retraining, export; and the hypermodels that KerasTuner brings."""

import functools
import json

import keras_tuner
import numpy as np
import pytest
from keras_tuner.applications import HyperEfficientNet, HyperImageAugment, HyperResNet, HyperXception

from spaces import CustomData, KerasTunerModel, Space
from studies import Study
from studies.events import TrialStarted
from studies.export.exported_model import evaluate_folder, load_export, predict
from studies.status.trial_table import summarize_trials
from tests.studies.keras_tuner.hypermodels import OwnFit
from tests.support.fakes import run_space
from tests.support.images import write_classes


def two_classes(shape):
    """Return a function that returns small splits of dark and bright images."""

    def splits():
        rng = np.random.default_rng(0)

        def split(count):
            labels = np.arange(count) % 2
            images = labels.reshape(-1, 1, 1, 1) * 150 + rng.integers(0, 90, (count, *shape))
            return images.astype(np.uint8), labels

        return {"train": split(48), "validation": split(16), "test": split(16), "classes": ["dark", "bright"]}

    return splits


def search(output, hypermodel, shape=(8, 8, 1), trials=2, *, export=True, **fields):
    """Run a study of a hypermodel; return its result and events."""
    space = Space(data=CustomData(two_classes(shape)), model=KerasTunerModel(hypermodel), **{"epochs": 1, **fields})
    settings = Study(trials=trials, pruner="none", sampler="random", seed=4)
    return run_space(output, space, settings, name="hyper", export=export)


def test_hypermodel_is_searched_exported_and_used(tmp_path):
    """Parameters keep their names everywhere, and the export with two softmax outputs predicts."""
    hypermodel = OwnFit(outputs=2, loss="categorical_crossentropy")
    result, recorder = search(tmp_path, hypermodel)
    params = {row.number: row.params for row in summarize_trials("hyper", tmp_path)}
    names = {"units", "learning_rate", "batch_size", "epochs"}
    assert set(params[0]) == set(params[1]) == names
    assert params[0] == {"units": 32, "learning_rate": 1e-2, "batch_size": 128, "epochs": 2}
    assert [set(event.params) for event in recorder.of(TrialStarted)] == [{"units", "learning_rate"}] * 2
    recipe = json.loads((result.export / "recipe.json").read_text())
    assert recipe["model"]["values"] == result.metrics["best"]["params"] == result.progress.best.params
    exported = load_export(result.export)
    assert exported.model.output_shape == (None, 2)
    folder = write_classes(tmp_path / "images", {"dark": 1, "bright": 1})
    found = predict(exported, [*folder.glob("*/*.png")])
    assert [0.5 <= one.probability <= 1 for one in found] == [True, True]
    assert evaluate_folder(exported, folder).scores.images == 2


def tiny_efficientnet(monkeypatch):
    """KerasTuner's EfficientNet on images of 32 pixels, without downloading weights."""
    module = keras_tuner.src.applications.efficientnet
    models = {name: functools.partial(make, weights=None) for name, make in module.EFFICIENTNET_MODELS.items()}
    monkeypatch.setattr(module, "EFFICIENTNET_MODELS", models)
    monkeypatch.setattr(module, "EFFICIENTNET_IMG_SIZE", dict.fromkeys(models, 32))
    # With augment_layers above 0, KerasTuner 1.4.8 cannot train in Keras 3: its RandAugment makes layers in `call`.
    augmentation = HyperImageAugment(input_shape=(32, 32, 3), augment_layers=0)
    return HyperEfficientNet(input_shape=(32, 32, 3), classes=2, augmentation_model=augmentation), (32, 32, 3)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "make",
    [
        lambda patch: (HyperResNet(include_top=True, input_shape=(32, 32, 3), classes=2), (32, 32, 3)),
        lambda patch: (HyperXception(include_top=True, input_shape=(72, 72, 3), classes=2), (72, 72, 3)),
        tiny_efficientnet,
    ],
    ids=["HyperResNet", "HyperXception", "HyperEfficientNet"],
)
def test_keras_tuners_own_hypermodels_work(make, tmp_path, monkeypatch):
    """KerasTuner's applications are searched, retrained and exported unchanged."""
    hypermodel, shape = make(monkeypatch)
    result, _ = search(tmp_path, hypermodel, shape, batch_size=16)
    # So few images can make the loss of a drawn learning rate infinite, which prunes that trial.
    assert result.progress.complete >= 1
    assert result.progress.failed == 0
    assert load_export(result.export).model.output_shape == (None, 2)
    rows = summarize_trials("hyper", tmp_path)
    assert rows[0].params != rows[1].params
