import csv
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from search.commands.evaluate import evaluate_folder
from search.display.json_output import print_json
from spaces.errors import UnreadableImagesError
from studies.data.dataset import Skipped
from studies.training.scores import ClassScores, Scores
from tests.support import fake_events


@pytest.fixture
def trials(monkeypatch):
    """A study of three trials."""
    monkeypatch.setattr("studies.status.trial_table.summarize_trials", lambda *words: fake_events.trial_rows())


@pytest.fixture
def fake_prediction(monkeypatch):
    """An export that answers without Keras."""
    top = (("größe [red]", 0.7), ("b", 0.2), ("c", 0.1))
    form = {"path": "ä.jpg", "label": "größe [red]", "probability": 0.7}
    prediction = SimpleNamespace(**form, top=top, to_json=lambda: {**form, "top": []})
    one = SimpleNamespace(label="größe [red]", precision=0.5, recall=0.25, f1=float("nan"), images=4)
    figures = {
        "auc": 0.75,
        "images": 4,
        "accuracy": 0.98765,
        "loss": 0.1,
        "precision": 0.5,
        "recall": 0.25,
        "f1": float("nan"),
    }
    scores = SimpleNamespace(**figures, classes=(one,), to_json=lambda: dict(figures))
    skipped = (Skipped("x\n.jpg", "is empty"),)
    made = fake_events.module(
        "studies.export.exported_model",
        load_export=lambda folder: folder,
        predict=lambda exported, paths: [prediction] * len(paths),
        evaluate_folder=lambda exported, folder: SimpleNamespace(scores=scores, skipped=skipped),
    )
    monkeypatch.setitem(sys.modules, "studies.export.exported_model", made)


def test_trials_are_valid_csv(search, trials):
    """The CSV has one column for each parameter, quotes what needs it, and tells None from absent."""
    done = search("trials", "digits", "--csv")
    assert done.stdout_bytes.count(b"\r\n") == 4
    rows = list(csv.DictReader(io.StringIO(done.stdout, newline="")))
    assert len(rows) == 3
    assert rows[1]["reason"] == 'out of "memory", a lot\nof it [red]'
    assert (rows[0]["epochs"], rows[0]["epochs_trained"], rows[0]["patience"]) == ("3", "3", "None")
    assert (rows[2]["patience"], rows[2]["model.größe"], rows[2]["dropout"]) == ("", "größer, als", "0.123456")


def test_trials_are_listed(search, trials):
    """Each trial stands on one line with its state, value and what differs from the baseline."""
    shown = search("trials", "digits").stdout.splitlines()
    assert len(shown) == 4
    assert "the baseline" in shown[1]
    assert r'out of "memory", a lot\nof it [red]' in shown[2]
    assert "dropout 0.1235" in shown[3]


def test_unknown_studies_end_with_6(search):
    """A study that is not there is told by name."""
    done = search("trials", "nosuch")
    assert done.exit_code == 6
    assert "nosuch" in done.stderr


def test_predictions_are_json(search, fake_prediction):
    """`--json` writes one valid document to standard output, Unicode kept."""
    done = search("predict", "best", "ä.jpg", "b.jpg", "--json")
    assert done.exit_code == 0
    assert len(json.loads(done.stdout)) == 2
    assert "größe [red]" in done.stdout


def test_predictions_are_a_table(search, fake_prediction):
    """Each image has its class, the probability and the next most probable classes."""
    line = search("predict", "best", "ä.jpg").stdout.splitlines()[1]
    assert line.split(maxsplit=1)[0] == "ä.jpg"
    assert "größe [red]" in line
    assert "0.7000" in line
    assert "b 0.2000, c 0.1000" in line


def unreadable(predictions):
    """A `predict` that could not read one image more than it classified."""

    def predict(exported, paths):
        raise UnreadableImagesError(predictions[: len(paths) - 1], ["x.jpg cannot be read as an image: truncated"])

    return predict


@pytest.mark.parametrize("others", [0, 2])
@pytest.mark.parametrize("json_option", [[], ["--json"]])
def test_broken_images_are_named_beside_the_predictions(search, fake_prediction, monkeypatch, others, json_option):
    """Standard output holds the others and stays JSON, standard error the broken one, and the exit code is 4."""
    given = sys.modules["studies.export.exported_model"].predict(None, ["a.jpg"] * others)
    monkeypatch.setattr(sys.modules["studies.export.exported_model"], "predict", unreadable(given))
    done = search("predict", "best", "x.jpg", *["a.jpg"] * others, *json_option)
    assert done.exit_code == 4
    assert "x.jpg cannot be read as an image: truncated" in done.stderr
    assert "x.jpg" not in done.stdout
    if json_option:
        assert len(json.loads(done.stdout)) == others
    else:
        assert len(done.stdout.splitlines()) == (others + 1 if others else 0)


def test_scores_are_json(search, fake_prediction):
    """Scores that are no numbers become null, since JSON has none; skipped files are listed."""
    scores = json.loads(search("evaluate", "best", "folder", "--json").stdout)
    assert scores["accuracy"] == 0.98765
    assert scores["f1"] is None
    assert scores["skipped"] == [{"path": "x\n.jpg", "reason": "is empty"}]


def test_scores_are_a_table(search, fake_prediction):
    """Accuracy, loss and AUC come first, then each class, then what was skipped."""
    shown = search("evaluate", "best", "folder").stdout
    assert shown.startswith("accuracy 0.9877, loss 0.1000, AUC 0.7500 on 4 images\n")
    assert "größe [red]" in shown
    assert r"x\n.jpg: is empty" in shown


@pytest.mark.parametrize(
    ("images", "last"),
    [((4, 4, 4), "mean 12"), ((4, 0, 4), "mean of 2 with images 8"), ((4, 4), "c1 4")],
)
def test_the_last_row_of_the_scores_is_what_it_says(monkeypatch, capsys, images, last):
    """A mean is over the classes with images; of two classes there is none, the scores are the second's."""
    classes = tuple(ClassScores(f"c{index}", 0.5, 0.5, 0.5, count) for index, count in enumerate(images))
    scores = Scores(sum(images), 0.5, 0.1, 0.5, 0.5, 0.5, 0.5, None, classes, ())
    scored = SimpleNamespace(scores=scores, skipped=())
    made = fake_events.module(
        "studies.export.exported_model", load_export=lambda _: None, evaluate_folder=lambda *_: scored
    )
    monkeypatch.setitem(sys.modules, "studies.export.exported_model", made)
    evaluate_folder(Path("best"), Path("folder"), as_json=False)
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert " ".join(rows[-1]) == f"{last} 0.5000 0.5000 0.5000"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_json_survives_every_encoding(monkeypatch, encoding):
    """Names that cannot be encoded, or are no text at all, are still valid JSON."""
    output = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="backslashreplace")
    monkeypatch.setattr(sys, "stdout", output)
    value = {"path": "ü \udcff 😀"}
    print_json(value)
    assert json.loads(output.buffer.getvalue().decode(encoding)) == value
