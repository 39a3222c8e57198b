"""The path of a trial, as `benchmarks/trial_path.py` measures it."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_a_trial_takes_the_short_path_of_the_page(monkeypatch):
    """At most 12 files hand a trial on, those of docs/architecture.md, and at most 3 places call a later layer."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    script = importlib.import_module("trial_path")
    found = script.measure()
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert found.path == set(re.findall(r"^\d+\. `(studies/\S+)`", page, re.MULTILINE))
    assert len(found.path) <= script.MAX_PATH
    assert 0 < len(found.upward) <= script.MAX_UPWARD
