"""What trials were trained on, as `search trials` and the summary show it."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest

from search.display.summary import summary
from search.run_command import RunCommand
from tests.support import fake_events


@pytest.fixture
def listed(search, monkeypatch):
    """Lists three trials that were trained on these."""

    def show(paths, *words):
        rows = [replace(row, trained_on=path) for row, path in zip(fake_events.trial_rows(), paths, strict=True)]
        monkeypatch.setattr("studies.status.trial_table.summarize_trials", lambda *_: rows)
        return search("trials", "digits", *words).stdout

    return show


def test_the_csv_always_says_it(listed):
    """One column, empty for a trial that has not ended."""
    rows = list(csv.DictReader(io.StringIO(listed(["features", "images", ""], "--csv"), newline="")))
    assert [row["trained_on"] for row in rows] == ["features", "images", ""]


def test_the_table_says_it_only_where_trials_differ(listed):
    """A column that is the same in every line tells nothing."""
    differing = listed(["cached views", "images", ""])
    assert "trained on" in differing
    assert "cached views" in differing
    assert "trained on" not in listed(["features", "features", ""])


def test_the_summary_shows_the_difference_to_the_head():
    """The whole network is compared with the head that was trained, and the figure shown."""
    metrics = {**fake_events.METRICS, "features": {"path": "features", "max_abs_difference": 2.1e-6}}
    shown = "\n".join(
        value for _, value in summary(fake_events.result(metrics=metrics), RunCommand("digits", output=Path()), {})
    )
    assert "the whole network differs from its head by 2.1e-06" in shown
    plain = "\n".join(value for _, value in summary(fake_events.result(), RunCommand("digits", output=Path()), {}))
    assert "cached features" not in plain
