"""The canonical form: what enters the fingerprint, what does not, and the lines that differ."""

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
    """The space of a file with a network of its own."""
    file = tmp_path / name
    file.write_text(f"from spaces import *\n{source}\nspace = Space(Digits(), model=Custom(build))\n")
    return load(str(file)).space


def test_differences_name_the_lines_as_they_were_and_are():
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


def test_the_fingerprint_is_the_same_in_every_process():
    """Workers on other machines compare fingerprints."""
    code = "from spaces import *; print(fingerprint(Space(Digits())))"
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert other.stdout.strip() == fingerprint(Space(Digits()))


def test_a_function_enters_by_its_source_but_not_by_its_comments(tmp_path):
    """Layout and comments of a function mean nothing; its code does, and so does its name."""
    first = custom(tmp_path, "a.py", NETWORK.format(body="[1, 2]"))
    same = custom(tmp_path, "b.py", "# a comment\n" + NETWORK.format(body="[1,   2]  # another"))
    other = custom(tmp_path, "c.py", NETWORK.format(body="[1, 3]"))
    assert fingerprint(first) == fingerprint(same)
    assert fingerprint(first) != fingerprint(other)
    assert differences(to_json(first), to_json(other))[0].startswith("- model.build = build(), source ")


def test_a_function_enters_with_what_it_has_captured(tmp_path):
    """Two functions of one source that were made with different values are different."""
    made = "def make(n, m):\n    def build(recipe, input_shape, outputs, m=m):\n        return n\n    return build\n"
    spaces = [
        custom(tmp_path, f"{n}{m}.py", f"{made}build = make({n}, {m})") for n, m in ((1, 2), (1, 3), (2, 2), (1, 2))
    ]
    prints = [fingerprint(space) for space in spaces]
    assert len({*prints}) == 3
    assert prints[0] == prints[3]


def test_a_lambda_enters_by_its_code_alone(tmp_path):
    """Two lambdas on one line are told apart, and what stands around them does not count."""
    both = "f, g = lambda r, i, o: i in {'a', 'b'}, lambda r, i, o: i in {'a', 'c'}\n"
    first = custom(tmp_path, "a.py", both + "build = f")
    second = custom(tmp_path, "b.py", both + "build = g")
    alone = custom(tmp_path, "c.py", "build = lambda r, i, o: i in {'a', 'b'}")
    assert fingerprint(first) == fingerprint(alone) != fingerprint(second)


def test_the_form_holds_no_code():
    """A function cannot be made from the canonical form."""

    def build(recipe, input_shape, outputs):
        raise NotImplementedError

    form = to_json(Space(Digits(), model=Custom(build, units=3)))
    assert set(form["model"]["build"]) == {"function", "source"}
    with pytest.raises(SpaceError, match="is not stored with the space: load the space file instead"):
        from_json(form)
