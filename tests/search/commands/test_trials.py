import csv
import io
from dataclasses import replace

import pytest

from tests.support import fake_events


@pytest.fixture
def listed(search, monkeypatch):
    """Runs `search trials` on three trials that were trained on these inputs."""

    def run(*words, trained_on=("", "", "")):
        rows = [replace(row, trained_on=name) for row, name in zip(fake_events.trial_rows(), trained_on, strict=True)]
        monkeypatch.setattr("search.commands.trials.summarize_trials", lambda *_: rows)
        return search("trials", "digits", *words)

    return run


def test_trials_as_csv(listed):
    """There is one column per parameter; values are quoted, and None differs from an absent parameter."""
    done = listed("--csv", trained_on=("features", "images", ""))
    assert done.stdout_bytes.count(b"\r\n") == 4
    rows = list(csv.DictReader(io.StringIO(done.stdout, newline="")))
    assert [row["trained_on"] for row in rows] == ["features", "images", ""]
    assert rows[1]["reason"] == 'out of "memory", a lot\nof it [red]'
    assert (rows[0]["epochs"], rows[0]["epochs_trained"], rows[0]["patience"]) == ("3", "3", "None")
    assert (rows[2]["patience"], rows[2]["model.größe"], rows[2]["dropout"]) == ("", "größer, als", "0.123456")


def test_trials_as_a_table(listed):
    """Each trial is one line with its reason, or its changes from the baseline."""
    shown = listed().stdout.splitlines()
    assert len(shown) == 4
    assert "baseline" in shown[1]
    assert r'out of "memory", a lot\nof it [red]' in shown[2]
    assert "dropout 0.1235" in shown[3]


@pytest.mark.parametrize(
    ("trained_on", "is_shown"), [(("cached views", "images", ""), True), (("features", "features", ""), False)]
)
def test_the_table_shows_training_inputs_that_differ(listed, trained_on, is_shown):
    """A column with equal values is left out."""
    assert ("trained on" in listed(trained_on=trained_on).stdout) == is_shown
