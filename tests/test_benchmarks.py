"""The scripts in `benchmarks/`: what their options change before they measure."""

import importlib
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from spaces import Choice, Pretrained
from spaces.loading import load

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def examples(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`benchmarks/examples.py`, which imports its neighbours."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("examples")


def given(**options: Any) -> Namespace:
    return Namespace(**{"size": None, "epochs": None, "weights": None, "alpha": None} | options)


def test_a_file_of_weights_takes_the_place_of_all_pretrained_networks(examples, tmp_path, monkeypatch):
    """`--weights` leaves the first network, with the weights, the width and the head that it is searched over."""
    monkeypatch.chdir(tmp_path)
    loaded = examples._changed(load("transfer"), given(weights="w.h5", alpha=0.35, size=96, epochs=3))
    backbone = loaded.space.backbone
    assert (backbone.name, backbone.weights, backbone.alpha) == ("MobileNetV2", str(tmp_path / "w.h5"), 0.35)
    assert isinstance(backbone, Pretrained)
    assert isinstance(backbone.dense_units, Choice)
    assert (loaded.space.data.image_size, loaded.space.epochs) == (96, 3)


def test_without_options_an_example_is_measured_as_it_stands(examples):
    """What is measured is the built-in space itself."""
    loaded = load("small_cnn")
    assert examples._changed(loaded, given()) == loaded


def test_weights_for_an_example_without_pretrained_networks_are_refused(examples):
    """The answer says what to leave out, not how the code failed."""
    with pytest.raises(SystemExit, match="small_cnn: has no pretrained network: leave out --weights"):
        examples._changed(load("small_cnn"), given(weights="w.h5"))
