"""Lines about a dataset."""

import numpy as np

from search.display.messages import data_lines
from studies.data.dataset import Dataset, Split


def lines(counts, *others, classes=("sick", "well"), **more):
    """Return the lines about a data set with these images per class in each split."""
    splits = [
        Split(np.zeros((sum(each), 1, 1, 1), np.uint8), np.repeat(np.arange(2), each))
        for each in (counts, *(others or (counts, counts)))
    ]
    return data_lines(Dataset(*splits, classes, **more).summary())


def test_class_names_are_escaped():
    """A name is one line without control characters, and markup stays text; each notice is a line of its own."""
    facts = lines((1, 1), classes=("two\nlines\x1b[31m", "[red]x[/red]"), notices=("photos is already split",))
    shown = [text for _, text in facts]
    assert any(text.startswith("two\\nlines\\x1b[31m ") for text in shown)
    assert any(text.startswith("[red]x[/red] ") for text in shown)
    assert all(text.isprintable() for text in shown)
    assert facts[-1] == ("note", "photos is already split")


def test_imbalanced_classes_are_reported():
    """The accuracy of always predicting the largest class is shown, if it is over one and a half times the smallest."""
    balance = dict(lines((30, 10), (3, 1), (3, 5)))["balance"]
    assert all(text in balance for text in ("'sick'", "0.7500 on validation", "0.3750 on test"))
    for counts in ((10, 10), (14, 10)):
        assert "balance" not in dict(lines(counts))
