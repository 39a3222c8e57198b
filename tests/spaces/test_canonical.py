"""The canonical form: what the fingerprint covers, and the lines that differ."""

import subprocess
import sys
from pathlib import Path

import pytest

from spaces import (
    Choice,
    Custom,
    Digits,
    Float,
    Int,
    Space,
    SpaceError,
    differences,
    fingerprint,
    from_json,
    to_json,
)
from spaces.loading import load

NETWORK = "def build(recipe, input_shape, outputs):\n    return {body}\n"


def custom(tmp_path: Path, name: str, source: str) -> Space:
    """Load a space file with a custom network."""
    file = tmp_path / name
    file.write_text(f"from spaces import *\n{source}\nspace = Space(Digits(), model=Custom(build))\n")
    return load(str(file)).space


def test_differences_show_old_and_new_lines():
    """A changed space shows only what changed, by dotted name."""
    old = Space(Digits(), dropout=Float(0.0, 0.5), batch_size=Choice(16, 32), epochs=3)
    new = Space(Digits(), dropout=Float(0.0, 0.6), batch_size=Choice(16, 32, default=32), epochs=Int(3, 5))
    assert differences(to_json(old), to_json(new)) == [
        "- dropout = Float(0.0, 0.5, default=0.25)",
        "+ dropout = Float(0.0, 0.6, default=0.3)",
        "- batch_size = Choice(16, 32, default=16)",
        "+ batch_size = Choice(16, 32, default=32)",
        "- epochs = 3",
        "+ epochs = Int(3, 5, default=4)",
    ]


def test_differences_show_a_changed_value_under_an_unchanged_name():
    """An option's name says nothing of its value."""
    old, new = Space(Digits(), epochs=Choice(few=3, many=9)), Space(Digits(), epochs=Choice(few=4, many=9))
    assert differences(to_json(old), to_json(new)) == ["- epochs.few = 3", "+ epochs.few = 4"]


def test_fingerprints_are_equal_in_every_process():
    """Workers on other machines compare fingerprints."""
    code = "from spaces import *; print(fingerprint(Space(Digits())))"
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert other.stdout.strip() == fingerprint(Space(Digits()))


def test_fingerprint_covers_code_but_not_comments(tmp_path):
    """Layout and comments of a function have no effect; its code and its name do."""
    first = custom(tmp_path, "a.py", NETWORK.format(body="[1, 2]"))
    same = custom(tmp_path, "b.py", "# a comment\n" + NETWORK.format(body="[1,   2]  # another"))
    other = custom(tmp_path, "c.py", NETWORK.format(body="[1, 3]"))
    assert fingerprint(first) == fingerprint(same)
    assert fingerprint(first) != fingerprint(other)
    assert differences(to_json(first), to_json(other))[0].startswith("- model.build = build(), source ")


def test_fingerprint_covers_captured_values(tmp_path):
    """Two functions of one source that were made with different values are different."""
    made = "def make(n, m):\n    def build(recipe, input_shape, outputs, m=m):\n        return n\n    return build\n"
    spaces = [
        custom(tmp_path, f"{n}{m}.py", f"{made}build = make({n}, {m})") for n, m in ((1, 2), (1, 3), (2, 2), (1, 2))
    ]
    prints = [fingerprint(space) for space in spaces]
    assert len({*prints}) == 3
    assert prints[0] == prints[3]


def test_fingerprint_covers_the_code_of_lambdas(tmp_path):
    """Two lambdas on one line differ, and the code around them has no effect."""
    both = "f, g = lambda r, i, o: i in {'a', 'b'}, lambda r, i, o: i in {'a', 'c'}\n"
    first = custom(tmp_path, "a.py", both + "build = f")
    second = custom(tmp_path, "b.py", both + "build = g")
    alone = custom(tmp_path, "c.py", "build = lambda r, i, o: i in {'a', 'b'}")
    assert fingerprint(first) == fingerprint(alone) != fingerprint(second)


def test_canonical_form_contains_no_code():
    """A function cannot be restored from it."""

    def build(recipe, input_shape, outputs):
        raise NotImplementedError

    form = to_json(Space(Digits(), model=Custom(build, units=3)))
    assert set(form["model"]["build"]) == {"function", "source"}
    with pytest.raises(SpaceError, match="is not stored with the space"):
        from_json(form)
