"""Lines about a dataset."""

import numpy as np
import pytest

from search.display.messages import data_lines
from studies.data.dataset import Dataset, Split


def test_class_names_are_escaped():
    """A name is one line without control characters, and markup stays text."""
    split = Split(np.zeros((2, 1, 1, 1), np.uint8), np.array([0, 1]))
    shown = [
        text for _, text in data_lines(Dataset(split, split, split, ("two\nlines\x1b[31m", "[red]x[/red]")).summary())
    ]
    assert any(text.startswith("two\\nlines\\x1b[31m ") for text in shown)
    assert any(text.startswith("[red]x[/red] ") for text in shown)
    assert all(text.isprintable() for text in shown)


def split(*counts: int) -> Split:
    labels = np.repeat(np.arange(len(counts)), counts)
    return Split(np.zeros((len(labels), 1, 1, 1), np.uint8), labels)


def test_imbalanced_classes_are_reported():
    """The accuracy of always predicting the largest class is shown for validation and test."""
    lines = data_lines(Dataset(split(30, 10), split(3, 1), split(3, 5), ("sick", "well")).summary())
    balance = dict(lines)["balance"]
    assert all(text in balance for text in ("'sick'", "0.7500 on validation", "0.3750 on test"))


def test_what_was_noticed_about_the_data_is_said_with_it():
    """Each notice is a line of its own."""
    facts = data_lines(Dataset(*(split(2, 2),) * 3, ("a", "b"), notices=("photos is already split",)).summary())
    assert facts[-1] == ("note", "photos is already split")


@pytest.mark.parametrize("counts", [(10, 10), (14, 10)])
def test_nearly_balanced_classes_are_not_reported(counts):
    """The largest class may be one and a half times as large as the smallest."""
    assert "balance" not in dict(data_lines(Dataset(*(split(*counts),) * 3, ("a", "b")).summary()))
