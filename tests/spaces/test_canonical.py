"""The canonical form: what the fingerprint covers, and the lines that differ."""

from pathlib import Path

import pytest

from spaces import CNN, Choice, Custom, Digits, Float, Int, Space, SpaceError
from spaces.canonical import differences, fingerprint, from_json, to_json
from spaces.loading import load


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


@pytest.mark.parametrize(
    ("field", "old", "new"),
    [
        ("filters", Int(8, 16), Int(8, 16, default=8)),
        ("filters", Int(8, 16, default=8), Int(8, 16, default=8, step=2)),
        ("filters", Int(8, 16, default=8), Int(8, 16, default=8, log=True)),
        ("filters", Int(8, 16, default=8), 8),
        ("filters", Choice(few=3, many=9), Choice(few=4, many=9)),
        ("filters", Choice(3, 9), Choice(3, 9, default=9)),
        ("growth", Float(1, 2), Float(1, 2, default=1)),
        ("growth", Float(1, 2, default=1), Float(1, 2, default=1, step=0.5)),
    ],
)
def test_every_change_of_a_parameter_is_another_space(field, old, new):
    """The fingerprint differs, and the differences name the parameter."""
    one, other = (Space(Digits(), backbone=Choice(a=CNN(), b=CNN(**{field: value}))) for value in (old, new))
    assert fingerprint(one) != fingerprint(other)
    assert all(f"backbone.b.{field}" in line for line in differences(to_json(one), to_json(other)))


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
