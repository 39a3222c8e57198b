import json
import sys
from types import SimpleNamespace

import pytest

from spaces.errors import UnreadableImagesError
from tests.support import fake_events


@pytest.fixture
def predicts(monkeypatch):
    """Installs an export that predicts without Keras; the first images may be unreadable."""

    def install(unreadable=0):
        fields = {"path": "ä.jpg", "label": "größe [red]", "probability": 0.7}
        top = (("größe [red]", 0.7), ("b", 0.2), ("c", 0.1))
        prediction = SimpleNamespace(**fields, top=top, to_json=lambda: {**fields, "top": []})

        def predict(exported, paths):
            predictions = [prediction] * (len(paths) - unreadable)
            if unreadable:
                raise UnreadableImagesError(predictions, ["x.jpg cannot be read as an image: truncated"] * unreadable)
            return predictions

        name = "studies.export.exported_model"
        monkeypatch.setitem(sys.modules, name, fake_events.module(name, load_export=lambda path: path, predict=predict))

    return install


def test_predictions_are_shown(search, predicts):
    """Each image has its class, the probability and the next best ones; `--json` writes one document, in Unicode."""
    predicts()
    line = search("predict", "best", "ä.jpg").stdout.splitlines()[1]
    assert line.split(maxsplit=1)[0] == "ä.jpg"
    assert all(text in line for text in ("größe [red]", "0.7000", "b 0.2000, c 0.1000"))
    done = search("predict", "best", "ä.jpg", "b.jpg", "--json")
    assert (done.exit_code, len(json.loads(done.stdout))) == (0, 2)
    assert "größe [red]" in done.stdout


@pytest.mark.parametrize("others", [0, 2])
@pytest.mark.parametrize("json_option", [[], ["--json"]])
def test_unreadable_images_are_reported(search, predicts, others, json_option):
    """The others are classified on standard output, which stays valid JSON, and the exit code is 4."""
    predicts(unreadable=1)
    done = search("predict", "best", "x.jpg", *["a.jpg"] * others, *json_option)
    assert done.exit_code == 4
    assert "x.jpg cannot be read" in done.stderr
    assert "x.jpg" not in done.stdout
    count = len(json.loads(done.stdout)) if json_option else max(0, len(done.stdout.splitlines()) - 1)
    assert count == others
