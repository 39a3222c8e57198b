"""A whole run: from a space to an export, and the next run of the study."""

import json
import re
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from spaces import CNN, Choice, CustomData, Digits, Float, Pretrained, Space
from spaces.errors import ModelError, SpaceError
from studies import Study
from studies.data.sources import load
from studies.events import StudyOpened, TrialStarted
from studies.trials.space_checks import with_data_defaults
from tests.support.fakes import TINY, run_space
from tests.support.fitting import noisy_images

SPACE = replace(TINY, epochs=2, backbone=CNN(filters=4, blocks=1), batch_size=Choice(128, 256))


def search(output: Path, trials: int = 2, space: Space = SPACE, export: bool = True):
    """Run a study; returns the result and the recorded events."""
    return run_space(output, space, Study(trials=trials, pruner="none"), export=export)


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    """Return a folder in which one study has been searched."""
    folder = tmp_path_factory.mktemp("runs")
    search(folder)
    return folder


def test_run_exports_all_files(output):
    """The export is complete, and metrics.json has the fields that readers rely on."""
    best = output / "tiny" / "best"
    names = {path.name for path in best.iterdir()}
    pictures = {"curves.png", "samples.png", "confusion_matrix.png", "mistakes.png"}
    written = {"model.keras", "saved_model", "labels.json", "recipe.json", "metrics.json", "CARD.md"}
    assert names == written | pictures
    card = (best / "CARD.md").read_text(encoding="utf-8")
    assert set(re.findall(r"!\[.+?\]\((.+?)\)", card)) == pictures
    metrics = json.loads((best / "metrics.json").read_text())
    assert metrics["trials"] == {"complete": 2, "pruned": 0, "failed": 0}
    assert set(metrics["best"]) == {"number", "value", "epoch", "params", "first_phase", "second_phase", "chosen"}
    assert {"accuracy", "loss", "precision", "recall", "f1", "confusion_matrix"} <= set(metrics["test"])
    assert set(metrics["seconds"]) == {"search", "retrain", "export"}
    assert np.sum(metrics["test"]["confusion_matrix"]) == metrics["test"]["images"] == 359
    assert all(export["max_abs_difference"] < 1e-5 for export in metrics["exports"].values())


def test_exported_model_reaches_its_test_accuracy(output):
    """Plain Keras loads the model, which takes raw pixels."""
    best, test = output / "tiny" / "best", load(Digits(), Path()).test
    model = keras.models.load_model(best / "model.keras")
    found = np.mean(model.predict(test.images, verbose=0).argmax(1) == test.labels)
    assert found == pytest.approx(json.loads((best / "metrics.json").read_text())["test"]["accuracy"])


def test_finished_study_is_not_searched_again(output):
    """No trial starts, and the result is that of the first run."""
    result, recorder = search(output)
    assert (result.already_finished, recorder.of(TrialStarted)) == (True, [])
    assert result.export == output / "tiny" / "best"
    assert result.metrics["test"]["images"] == 359


@pytest.mark.slow
def test_next_run_exports_and_evaluates_more_trials(tmp_path):
    """A finished study without an export is retrained and exported; with more trials it is resumed."""
    first, _ = search(tmp_path, trials=1, export=False)
    assert (first.export, (tmp_path / "tiny" / "best").exists()) == (None, False)
    second, recorder = search(tmp_path, trials=1)
    assert (second.export, recorder.of(TrialStarted)) == (tmp_path / "tiny" / "best", [])
    third, recorder = search(tmp_path, trials=2)
    assert [event.number for event in recorder.of(TrialStarted)] == [1]
    assert third.metrics["trials"]["complete"] == 2
    assert recorder.of(StudyOpened)[0].resumed


def test_missing_weights_are_found_before_the_first_trial(tmp_path):
    """Those of options outside the baseline too; no study is left behind."""
    space = replace(SPACE, backbone=Choice(CNN(), Pretrained("MobileNetV2", weights="absent.h5")))
    with pytest.raises(ModelError, match=r"absent\.h5"):
        search(tmp_path, space=space)
    assert not (tmp_path / "tiny" / "study.db").exists()


def test_batch_larger_than_the_data_is_refused(tmp_path):
    """The error names the parameter, the value and the number of images."""
    space = replace(SPACE, batch_size=Choice(64, 4096))
    with pytest.raises(SpaceError, match=r"^batch_size: 4096 is larger than the 1150 training images"):
        search(tmp_path, space=space)


def test_default_batch_size_and_epochs_follow_the_data():
    """Defaults depend on the number of images; explicit values stay."""
    space = Space(data=Digits())
    batch_sizes = [with_data_defaults(space, images).batch_size for images in (1000, 100, 40, 10)]
    assert batch_sizes == [space.batch_size, Choice(32, 64, default=64), Choice(32), Choice(10)]
    assert [with_data_defaults(space, images).epochs for images in (100, 20_000, 1_000_000)] == [30, 20, 10]
    assert with_data_defaults(replace(space, epochs=3), 100).epochs == 3


def test_two_classes_are_searched_and_exported(tmp_path):
    """A binary classifier with one output learns, and duplicates across splits are reported and left out."""
    noise = noisy_images(80, 0, shape=(8, 8, 1), noise=80, contrast=120)
    images, labels = noise.images, noise.labels

    def load():
        train, test = (images[:60], labels[:60]), (images[57:], labels[57:])
        return {"train": train, "test": test, "classes": ["dark", "bright"]}

    space = replace(SPACE, data=CustomData(load), batch_size=16, learning_rate=Float(1e-2, 1e-1, log=True))
    result, recorder = search(tmp_path, 1, space)
    assert recorder.of(StudyOpened)[0].notices == ("test had 3 duplicates of train images, now left out",)
    assert len(result.metrics["test"]["confusion_matrix"]) == 2
    assert result.metrics["test"]["accuracy"] > 0.8
