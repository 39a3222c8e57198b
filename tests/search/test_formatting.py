import math

import pytest

from search import formatting
from search.display.messages import data_lines
from studies.data.dataset import Skipped
from tests.support import fake_events


@pytest.mark.parametrize(
    ("function", "values", "texts"),
    [
        ("format_duration", [None, math.nan, 0.3, 0.99, 8.2, 59.6], ["-", "-", "0.3s", "1s", "8s", "1m 00s"]),
        ("format_duration", [83, 3599.7, 7500, 200000], ["1m 23s", "1h 00m", "2h 05m", "2d 07h"]),
        ("format_elapsed", [0.4, 59.9, -1], ["0s", "59s", "0s"]),
        ("format_metric", [0.98765, None, 1234567.0], ["0.9877", "-", "1.235e+06"]),
        ("format_value", [0.00123456, True, "a\nb"], ["0.001235", "True", r"a\nb"]),
        ("escape_text", ["größe 猫 \x1b[31m\n\udcff"], [r"größe 猫 \x1b[31m\n\udcff"]),
        ("redact", ["see a://u:p@h/d or b://h/d", "a://u:p@ss@h/d"], ["see a://***@h/d or b://h/d", "a://***@h/d"]),
        ("redact", ["a://u:@h/d", "a://u:p ss@h/d"], ["a://***@h/d", "a://***@h/d"]),
        ("redact", ["a://h/d?user=u&password=s3cret"], ["a://h/d?user=u&password=***"]),
        ("shortest", [0.1 + 0.2, 0.1 * 3 + 0.4, 1e-3, 0.0, 5, "a", None], [0.3, 0.7, 1e-3, 0.0, 5, "a", None]),
        ("shortest", [0.5381944179534912, 1 / 3, 1e-300], [0.5381944179534912, 1 / 3, 1e-300]),
    ],
)
def test_values_are_formatted(function, values, texts):
    """Two units per duration, four digits per metric, escapes, no passwords, and no rounding noise."""
    assert [getattr(formatting, function)(value) for value in values] == texts


def test_counts_have_plurals():
    """One is singular; thousands are separated."""
    assert formatting.format_count(1, "class") == "1 class"
    assert formatting.format_count(1437, "class") == "1,437 classes"


def test_long_names_keep_their_ends():
    """Dotted names differ at their ends."""
    assert formatting.shorten_name("backbone.cnn.filters", 30) == "backbone.cnn.filters"
    assert formatting.shorten_name("backbone.mobilenetv2.trainable_layers", 20) == "….trainable_layers"
    assert len(formatting.shorten_name("a" * 50, 20)) == 20


def test_many_classes_and_skipped_files_are_cut():
    """The first ones are shown, the rest is counted."""
    skipped = [Skipped(f"{index}.jpg", "is empty") for index in range(100)]
    dataset = fake_events.dataset(classes=[f"class {index}" for index in range(100)], skipped=skipped)
    lines = data_lines(dataset.summary())
    assert len(lines) < 25
    assert {("skipped", "100 files"), ("", "… and 95 more files"), ("", "… and 88 more classes")} <= set(lines)
