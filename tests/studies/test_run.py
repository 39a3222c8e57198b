"""A whole run: from a declared space to an export, and what the next call finds."""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
import pytest

from spaces import CNN, Choice, CustomData, Digits, Float, Pretrained, Space
from spaces.errors import ModelError, SpaceError
from studies import Study
from studies.events import StudyOpened, TrialStarted
from studies.run import run
from studies.stop_request import StopRequest
from studies.trials.space_checks import with_data_defaults
from tests.support.fakes import TINY, Recorder

SPACE = replace(TINY, epochs=2, backbone=CNN(filters=4, blocks=1), batch_size=Choice(128, 256))


@dataclass(frozen=True)
class Declared:
    """What a space file declares."""

    space: Space = SPACE
    name: str = "tiny"
    folder: Path = Path()


def search(output: Path, trials: int = 2, declared: Declared | None = None, export: bool = True, **settings):
    """Run a study; returns the result and what was told."""
    recorder = Recorder()
    study = Study(trials=trials, pruner="none", **settings)
    result = run(declared or Declared(), study, output=output, export=export, listener=recorder, stop=StopRequest())
    return result, recorder


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    """A folder in which one study has been searched."""
    folder = tmp_path_factory.mktemp("runs")
    search(folder)
    return folder


def test_a_run_leaves_an_export_that_says_what_it_is(output):
    """All files are there, and metrics.json holds what every reader relies on."""
    best = output / "tiny" / "best"
    names = {path.name for path in best.iterdir()}
    pictures = {"curves.png", "samples.png", "confusion_matrix.png", "mistakes.png"}
    written = {"model.keras", "saved_model", "labels.json", "recipe.json", "metrics.json", "CARD.md"}
    assert names == written | pictures
    card = (best / "CARD.md").read_text(encoding="utf-8")
    assert set(re.findall(r"!\[.+?\]\((.+?)\)", card)) == pictures
    metrics = json.loads((best / "metrics.json").read_text())
    assert metrics["trials"] == {"complete": 2, "pruned": 0, "failed": 0}
    assert set(metrics["best"]) == {"number", "value", "epoch", "params", "first_phase", "second_phase"}
    assert {"accuracy", "loss", "precision", "recall", "f1", "confusion_matrix"} <= set(metrics["test"])
    assert set(metrics["seconds"]) == {"search", "retrain", "export"}
    assert np.sum(metrics["test"]["confusion_matrix"]) == metrics["test"]["images"] == 359
    assert all(export["max_abs_difference"] < 1e-5 for export in metrics["exports"].values())


def test_the_export_scores_on_the_test_images_what_was_written(output):
    """Plain Keras loads the model, which reads raw pixels."""
    from studies.data.sources import load

    best = output / "tiny" / "best"
    test = load(Digits(), Path()).test
    model = keras.models.load_model(best / "model.keras")
    found = np.mean(model.predict(test.images, verbose=0).argmax(1) == test.labels)
    assert found == pytest.approx(json.loads((best / "metrics.json").read_text())["test"]["accuracy"])


def test_the_same_command_again_says_that_it_is_finished(output):
    """Nothing is trained, and the result is that of the first run."""
    result, recorder = search(output)
    assert result.already_finished
    assert recorder.of(TrialStarted) == []
    assert result.export == output / "tiny" / "best"
    assert result.metrics["test"]["images"] == 359


@pytest.mark.slow
def test_a_run_that_was_stopped_before_its_export_exports_the_next_time(tmp_path):
    """Without an export the finished study retrains and exports; with more trials it goes on."""
    first, _ = search(tmp_path, trials=1, export=False)
    assert first.export is None
    assert not (tmp_path / "tiny" / "best").exists()
    second, recorder = search(tmp_path, trials=1)
    assert second.export is not None
    assert recorder.of(TrialStarted) == []
    third, recorder = search(tmp_path, trials=2)
    assert [event.number for event in recorder.of(TrialStarted)] == [1]
    assert third.metrics["trials"]["complete"] == 2
    assert recorder.of(StudyOpened)[0].resumed


def test_absent_weights_are_seen_before_the_first_trial(tmp_path):
    """Also those of an option that the baseline does not take; no study is left behind."""
    space = replace(SPACE, backbone=Choice(CNN(), Pretrained("MobileNetV2", weights="absent.h5")))
    with pytest.raises(ModelError, match=r"absent\.h5"):
        search(tmp_path, declared=Declared(space))
    assert not (tmp_path / "tiny" / "study.db").exists()


def test_a_batch_larger_than_the_data_is_refused(tmp_path):
    """The message names the parameter, the value and the largest one possible."""
    space = replace(SPACE, batch_size=Choice(64, 4096))
    with pytest.raises(SpaceError, match=r"^batch_size: 4096 is larger than the 1150 training images"):
        search(tmp_path, declared=Declared(space))


def test_what_is_left_to_us_follows_the_number_of_images():
    """Whoever leaves the batch size and the epochs to us gets what suits the data."""
    space = Space(data=Digits())
    assert with_data_defaults(space, 1000).batch_size == space.batch_size
    assert with_data_defaults(space, 100).batch_size == Choice(32, 64, default=64)
    assert with_data_defaults(space, 40).batch_size == Choice(32)
    assert with_data_defaults(space, 10).batch_size == Choice(10)
    assert [with_data_defaults(space, images).epochs for images in (100, 20_000, 1_000_000)] == [30, 20, 10]
    assert with_data_defaults(replace(space, epochs=3), 100).epochs == 3


def test_two_classes_end_in_one_probability(tmp_path):
    """A binary classifier is trained, tested and exported by the same path."""

    def load():
        rng = np.random.default_rng(0)
        labels = np.arange(80) % 2
        images = (rng.integers(0, 80, (80, 8, 8, 1)) + 120 * labels[:, None, None, None]).astype(np.uint8)
        return {"train": (images, labels), "classes": ["dark", "bright"]}

    space = replace(SPACE, data=CustomData(load), batch_size=16, learning_rate=Float(1e-2, 1e-1, log=True))
    result, _ = search(tmp_path, trials=1, declared=Declared(space))
    assert len(result.metrics["test"]["confusion_matrix"]) == 2
    assert result.metrics["test"]["accuracy"] > 0.8
