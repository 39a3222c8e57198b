"""Runs over a folder of photos: the plan, its stages, and the model that exists before the search ends."""

import keras
import numpy as np
import pytest

from spaces import Choice, ImageFolder, Pretrained, Space
from spaces.open_space import is_open
from studies import Study
from studies.export.export_folder import is_tested, is_untested, read_metrics
from studies.features.eligibility import FEATURES
from studies.planning import plan_study
from studies.status.trial_table import summarize_trials
from studies.stop_request import StopReason, StopRequest
from tests.studies.features.conftest import save_weights
from tests.support.fakes import Recorder, run_space
from tests.support.images import write_image


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder of dark and of bright photos, and a machine with the weights of one small network."""
    (tmp_path / "weights").mkdir()
    save_weights(tmp_path / "weights", seed=7)
    monkeypatch.setenv("SEARCH_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    for number in range(24):
        path = write_image(tmp_path / "photos" / ("dark", "bright")[number % 2] / f"{number}.png", number, 48, 48)
        if number % 2 == 0:
            _darken(path)
    return tmp_path / "photos"


def _darken(path):
    from PIL import Image

    with Image.open(path) as image:
        dark = image.point(lambda value: value // 6)
    dark.save(path)


class Watcher(Recorder):
    """Loads the export after each trial, and stops after the last one of `trials`."""

    def __init__(self, export, stop, trials):
        super().__init__()
        self.export, self.stop, self.trials, self.seen = export, stop, trials, []

    def on_trial_ended(self, event):
        super().on_trial_ended(event)
        found = read_metrics(self.export)
        self.seen.append((event.number, found.get("best", {}).get("number"), "test" in found))
        if len(self.seen) == self.trials:
            self.stop.request(StopReason.SIGINT)


@pytest.mark.slow
def test_folder_of_photos_gives_a_tested_model(photos, tmp_path, monkeypatch):
    """The stages are ordinary trials; a model is there after the first, and is tested at the end, in another run."""
    space, settings = Space(data=ImageFolder(str(photos))), Study(sampler="stepwise")
    export, stop = tmp_path / "runs" / "photos" / "best", StopRequest()
    watcher = Watcher(export, stop, trials=1)
    result, _ = run_space(tmp_path / "runs", space, settings, watcher, stop, name="photos")
    assert watcher.seen == [(0, 0, False)]
    assert (result.interrupted, result.export, result.untested) == (StopReason.SIGINT, None, export)
    assert is_untested(export, read_metrics(export)["study_id"])
    untested = keras.models.load_model(export / "model.keras")
    assert untested.input_shape == (None, 160, 160, 3)

    # Another run, or another machine, takes the plan of the study.
    monkeypatch.setattr(plan_study, "plan_photos", None)
    result, _ = run_space(tmp_path / "runs", space, settings, name="photos")
    rows = summarize_trials("photos", tmp_path / "runs")
    assert [row.state for row in rows] == ["complete"] * 3
    assert all(row.trained_on == FEATURES for row in rows)
    assert isinstance(result.space.backbone, Pretrained)
    assert result.space.data.image_size == Choice(160, 224)
    assert is_tested(export, result.metrics["study_id"])
    model = keras.models.load_model(result.export / "model.keras")
    images = np.zeros((1, *model.input_shape[1:]), np.float32)
    assert np.isfinite(np.asarray(model(images))).all()
    assert result.metrics["test"]["images"] > 0


@pytest.mark.slow
def test_images_that_are_too_small_are_trained_from_scratch(photos, tmp_path):
    """The default networks are searched by `tpe`, also when the study is resumed."""
    for path in photos.rglob("*.png"):
        write_image(path, int(path.stem), 16, 16)
    space = Space(data=ImageFolder(str(photos)))
    for trials in (1, 2):
        settings = Study(sampler="stepwise", trials=trials)
        result, _ = run_space(tmp_path / "runs", space, settings, name="photos", export=False)
    assert result.progress.done == 2
    assert not is_open(result.space) or result.space.backbone == space.backbone
