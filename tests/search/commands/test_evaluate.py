import json
import math
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

from studies.data.dataset import Skipped
from studies.training.scores import ClassScores, Scores
from tests.support import fake_events


@pytest.fixture
def evaluated(search, monkeypatch):
    """Runs `search evaluate` on an export with these images per class, without Keras."""

    def run(images, *words, **changed):
        classes = tuple(ClassScores(f"c{index} [red]", 0.5, 0.5, 0.5, count) for index, count in enumerate(images))
        scores = Scores(sum(images), 0.98765, 0.1, 0.75, 0.5, 0.5, 0.5, None, classes, ())
        result = SimpleNamespace(scores=replace(scores, **changed), skipped=(Skipped("x\n.jpg", "is empty"),))
        name = "studies.export.exported_model"
        module = fake_events.module(name, load_export=lambda path: path, evaluate_folder=lambda *_: result)
        monkeypatch.setitem(sys.modules, name, module)
        return search("evaluate", "best", "folder", *words).stdout

    return run


def test_scores_as_json(evaluated):
    """NaN becomes null, since JSON has none; skipped files are listed."""
    scores = json.loads(evaluated((4,), "--json", f1=math.nan))
    assert (scores["accuracy"], scores["f1"]) == (0.98765, None)
    assert scores["skipped"] == [{"path": "x\n.jpg", "reason": "is empty"}]


@pytest.mark.parametrize(
    ("images", "last"), [((4, 4, 4), "mean 12"), ((4, 0, 4), "mean of 2 classes with images 8"), ((4, 4), "c1 [red] 4")]
)
def test_scores_as_a_table(evaluated, images, last):
    """Overall scores, then classes and their mean; two classes have no mean, the scores are those of the second."""
    shown = evaluated(images)
    assert shown.startswith(f"accuracy 0.9877, loss 0.1000, AUC 0.7500 on {sum(images)} images\n")
    assert r"x\n.jpg: is empty" in shown
    rows = [" ".join(line.split()) for line in shown.splitlines() if line.endswith("0.5000")]
    assert rows[-1] == f"{last} 0.5000 0.5000 0.5000"
