import math

import pytest

from search.display.messages import data_lines
from search.formatting import (
    escape_text,
    format_count,
    format_duration,
    format_elapsed,
    format_metric,
    format_value,
    redact,
    shorten_name,
    shortest,
)
from studies.data.dataset import Skipped
from tests.support import fake_events


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *[(None, "-"), (float("nan"), "-"), (0.3, "0.3s"), (0.99, "1s"), (8.2, "8s"), (59.6, "1m 00s")],
        *[(83, "1m 23s"), (3599.7, "1h 00m"), (7500, "2h 05m"), (200000, "2d 07h")],
    ],
)
def test_durations_are_short(seconds, text):
    """A duration has its two largest units."""
    assert format_duration(seconds) == text


def test_growing_times_are_whole_seconds():
    """A time that is still growing does not flicker."""
    assert (format_elapsed(0.4), format_elapsed(59.9), format_elapsed(-1)) == ("0s", "59s", "0s")


def test_metrics_have_four_digits():
    """Metrics and losses have four digits, huge ones an exponent."""
    assert (format_metric(0.98765), format_metric(None), format_metric(1234567.0)) == ("0.9877", "-", "1.235e+06")
    assert (format_value(0.00123456), format_value(True), format_value("a\nb")) == ("0.001235", "True", r"a\nb")


def test_names_are_made_safe():
    """Control characters, newlines and undecodable bytes become escapes, other scripts stay."""
    assert escape_text("größe 猫 \x1b[31m\n\udcff") == r"größe 猫 \x1b[31m\n\udcff"


@pytest.mark.parametrize("url", ["a://u:p@h/d", "a://u:p@ss@h/d", "a://u:@h/d", "a://u:p ss@h/d"])
def test_passwords_are_masked(url):
    """What stands before the last @ is hidden, and so are options that hold a secret."""
    assert redact(f"see {url} or b://h/d") == "see a://***@h/d or b://h/d"
    assert redact("a://h/d?user=u&password=s3cret") == "a://h/d?user=u&password=***"


def test_long_names_keep_their_ends():
    """Dotted names are told apart by their ends."""
    assert shorten_name("backbone.cnn.filters", 30) == "backbone.cnn.filters"
    assert shorten_name("backbone.mobilenetv2.trainable_layers", 20) == "….trainable_layers"
    assert len(shorten_name("a" * 50, 20)) == 20
    assert format_count(1, "class") == "1 class"
    assert format_count(1437, "class") == "1,437 classes"


def test_many_classes_and_skipped_files_are_folded():
    """A hundred classes or skipped files take a dozen lines."""
    skipped = [Skipped(f"{index}.jpg", "is empty") for index in range(100)]
    facts = data_lines(
        fake_events.dataset(classes=[f"class {index}" for index in range(100)], skipped=skipped).summary()
    )
    assert len(facts) < 25
    assert ("skipped", "100 files") in facts
    assert ("", "… and 95 more files") in facts
    assert ("", "… and 88 more classes") in facts


def test_the_noise_of_binary_fractions_is_left_out():
    """0.3 is written as 0.3; any other number keeps all its digits."""
    assert [shortest(value) for value in (0.1 + 0.2, 0.1 * 3 + 0.4, 1e-3, 0.0, 5, "a", None)] == [
        0.3,
        0.7,
        1e-3,
        0.0,
        5,
        "a",
        None,
    ]
    for value in (0.5381944179534912, 1 / 3, 1e-300, 1e300, math.pi):
        assert shortest(value) == value
    assert math.isnan(shortest(math.nan))
