"""What is said of a data set."""

import numpy as np

from search.facts import of_data
from studies.data import Dataset, Split


def test_class_names_are_shown_as_they_are_on_one_line():
    """A line break or a control character is escaped, and what looks like markup stays text."""
    split = Split(np.zeros((2, 1, 1, 1), np.uint8), np.array([0, 1]))
    shown = [text for _, text in of_data(Dataset(split, split, split, ("two\nlines\x1b[31m", "[red]x[/red]")))]
    assert any(text.startswith("two\\nlines\\x1b[31m ") for text in shown)
    assert any(text.startswith("[red]x[/red] ") for text in shown)
    assert all(text.isprintable() for text in shown)
