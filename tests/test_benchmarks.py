"""The scripts in `benchmarks/`: what their options change before they measure."""

import importlib
import re
from argparse import Namespace
from pathlib import Path

import pytest

from spaces import Choice, Pretrained
from spaces.loading import load

ROOT = Path(__file__).parents[1]


@pytest.fixture
def script(monkeypatch):
    """Imports a script, which imports its neighbours."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module


@pytest.fixture
def changed(script):
    """Changes an example as options of `benchmarks/examples.py` do."""
    defaults = {"size": None, "epochs": None, "weights": None, "alpha": None}
    return lambda loaded, **options: script("examples")._changed(loaded, Namespace(**defaults | options))


def test_a_file_of_weights_takes_the_place_of_all_pretrained_networks(changed, tmp_path, monkeypatch):
    """`--weights` leaves the first network, with the weights, the width and the head that it is searched over."""
    monkeypatch.chdir(tmp_path)
    loaded = changed(load("transfer"), weights="w.h5", alpha=0.35, size=96, epochs=3)
    backbone = loaded.space.backbone
    assert (backbone.name, backbone.weights, backbone.alpha) == ("MobileNetV2", str(tmp_path / "w.h5"), 0.35)
    assert isinstance(backbone, Pretrained)
    assert isinstance(backbone.dense_units, Choice)
    assert (loaded.space.data.image_size, loaded.space.epochs) == (96, 3)


def test_an_example_without_pretrained_networks_is_measured_as_it_is(changed):
    """What is measured is the built-in space itself; the answer to weights says what to leave out."""
    loaded = load("small_cnn")
    assert changed(loaded) == loaded
    with pytest.raises(SystemExit, match="small_cnn: has no pretrained network: leave out --weights"):
        changed(loaded, weights="w.h5")


@pytest.mark.slow
def test_a_trial_takes_the_short_path_of_the_page(script):
    """At most 12 files hand a trial on, those of docs/architecture.md, and at most 3 places call a later layer."""
    path = script("trial_path")
    found = path.measure()
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert found.path == set(re.findall(r"^\d+\. `(studies/\S+)`", page, re.MULTILINE))
    assert len(found.path) <= path.MAX_PATH
    assert 0 < len(found.upward) <= path.MAX_UPWARD
