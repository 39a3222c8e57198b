"""What a function of the user's reaches enters the fingerprint, and what has no meaning does not."""

import importlib
import sys

import pytest

from spaces import differences, fingerprint, to_json
from spaces.loading import load
from spaces.source_fingerprint import keep, untraced

FILES = {
    "space.py": """
import functools
from dataclasses import dataclass, field

import numpy as np
import tracing_helpers
from spaces import *
from tracing_helpers import Base, block
from tracing_package import blocks

WIDTH = 32
SIZES = {"small": [8, 16], "modes": {"a", "b"}}
TABLE = np.arange(5000)

@dataclass
class Settings:
    units: int = 3
    more: list = field(default_factory=lambda: [1])

settings = Settings(5)

def wrapped(function):
    @functools.wraps(function)
    def inner(*given):
        return function(*given) + 1
    return inner

class Network(Base):
    depth = 2

    def __init__(self, units):
        self.units = units

    @property
    def twice(self):
        return 2 * self.units

    def layers(self):
        return self.tail(self.depth)

network = Network(units=7)
shortcut = functools.partial(block, n=4)

@wrapped
def build(recipe, input_shape, outputs):
    import tracing_later
    total = block(WIDTH) + tracing_helpers.other(SIZES["small"][0]) + blocks.joined(TABLE[3])
    return total + settings.units + network.layers() + shortcut(1) + sum(map(lambda x: x + 2, [1]))

space = Space(Digits(), model=Custom(build))
""",
    "tracing_helpers.py": """
from tracing_package.blocks import joined as together

LIMIT = 3

class Base:
    def tail(self, x):
        return deep(x)

def deep(x):
    return x * 2

def block(x, n=2):
    return together(x) * n

def other(x):
    return x if x < LIMIT else LIMIT

def unused(x):
    return x
""",
    "tracing_package/__init__.py": "",
    "tracing_package/blocks.py": "FACTOR = 3\n\ndef joined(x):\n    return x * FACTOR\n",
    "tracing_later.py": "VALUE = 1\n",
}

MEANINGFUL = {
    "module constant": ("space.py", "WIDTH = 32", "WIDTH = 33", "WIDTH = 33"),
    "value in a dict": ("space.py", "[8, 16]", "[8, 17]", "SIZES"),
    "value in a set": ("space.py", '{"a", "b"}', '{"a", "c"}', "SIZES"),
    "large array": ("space.py", "np.arange(5000)", "np.arange(5000) + (np.arange(5000) == 2500)", "TABLE"),
    "dataclass instance": ("space.py", "Settings(5)", "Settings(6)", "settings"),
    "default factory": ("space.py", "lambda: [1]", "lambda: [2]", "Settings"),
    "decorator": ("space.py", "function(*given) + 1", "function(*given) + 2", "build()"),
    "decorated function": ("space.py", "x + 2", "x + 3", "build()"),
    "class attribute": ("space.py", "depth = 2", "depth = 3", "Network.depth = 3"),
    "instance attribute": ("space.py", "units=7", "units=8", "network"),
    "method": ("space.py", "self.tail(self.depth)", "self.tail(self.depth + 1)", "Network.layers()"),
    "property": ("space.py", "2 * self.units", "3 * self.units", "Network.twice()"),
    "partial": ("space.py", "n=4", "n=5", "shortcut"),
    "imported function": ("tracing_helpers.py", "together(x) * n", "together(x) + n", "tracing_helpers.block()"),
    "default argument": ("tracing_helpers.py", "n=2", "n=3", "tracing_helpers.block()"),
    "function of a module": ("tracing_helpers.py", "x if x <", "-x if x <", "tracing_helpers.other()"),
    "constant of a module": ("tracing_helpers.py", "LIMIT = 3", "LIMIT = 4", "tracing_helpers.LIMIT = 4"),
    "inherited method": ("tracing_helpers.py", "return deep(x)", "return deep(x) + 1", "Base.tail()"),
    "function of a function": ("tracing_helpers.py", "x * 2", "x * 3", "tracing_helpers.deep()"),
    "package": ("tracing_package/blocks.py", "x * FACTOR", "x + FACTOR", "tracing_package.blocks.joined()"),
    "constant of a package": ("tracing_package/blocks.py", "FACTOR = 3", "FACTOR = 5", "FACTOR = 5"),
    "import in a function": ("tracing_later.py", "VALUE = 1", "VALUE = 2", "module tracing_later"),
}
MEANINGLESS = {
    "comment": ("tracing_helpers.py", "return x * 2", "return x * 2  # twice"),
    "layout": ("space.py", "block(WIDTH) + ", "block(  WIDTH  ) + "),
    "docstring": ("tracing_helpers.py", "def deep(x):", 'def deep(x):\n    """Double it."""'),
    "unused function": ("tracing_helpers.py", "def unused(x):\n    return x", "def unused(x):\n    return -x"),
    "moved function": ("space.py", "WIDTH = 32", "\n\n\nWIDTH = 32"),
    "order of a dict": ("space.py", '"small": [8, 16], "modes": {"a", "b"}', '"modes": {"b", "a"}, "small": [8, 16]'),
}


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    """Write the files with a change in one of them, and load their space."""

    def loaded(change=None, folder="here"):
        for name in [name for name in sys.modules if name.startswith("tracing_")]:
            del sys.modules[name]
        importlib.invalidate_caches()
        for name, text in FILES.items():
            file = tmp_path / folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            if change and change[0] == name:
                assert change[1] in text
                text = text.replace(change[1], change[2], 1)
            file.write_text(text)
        return load(str(tmp_path / folder / "space.py")).space

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return loaded


@pytest.mark.parametrize("change", MEANINGFUL.values(), ids=MEANINGFUL)
def test_a_change_that_the_build_function_reaches_is_told_by_name(loaded, change):
    """Whatever the function reads, wherever it stands, changes the fingerprint and is named."""
    before = to_json(loaded())
    after = to_json(loaded(change, "there"))
    assert before != after
    lines = differences(before, after)
    assert any(change[3] in line for line in lines), lines


@pytest.mark.parametrize("change", MEANINGLESS.values(), ids=MEANINGLESS)
def test_a_change_without_meaning_changes_nothing(loaded, change):
    """Layout, comments, docstrings, the folder and what the function never reads do not count."""
    before = fingerprint(loaded())
    assert fingerprint(loaded(change, "there")) == before


def test_what_cannot_be_traced_is_listed_once(tmp_path):
    """Files that are read and objects without known content are named, each once."""
    (tmp_path / "space.py").write_text(
        "import random\nfrom pathlib import Path\nfrom spaces import *\nRNG = random.Random(3)\n"
        "def read():\n    return open('x').read() + Path('y').read_text()\n"
        "def build(recipe, input_shape, outputs):\n    return read() + read() + RNG.random()\n"
        "space = Space(Digits(), model=Choice(a=Custom(build), b=Custom(build, units=3)))\n"
    )
    reads = [f"{call} in read() (space.py, line 6)" for call in ("read_text", "open()")]
    assert untraced(load(str(tmp_path / "space.py")).space) == ["RNG (random.Random)", *reads]


def test_secrets_stay_out_of_the_form(tmp_path):
    """A text constant enters by its hash alone."""
    (tmp_path / "space.py").write_text(
        "from spaces import *\nKEY = 'hunter2'\ndef build(recipe, input_shape, outputs):\n    return KEY\n"
        "space = Space(Digits(), model=Custom(build))\n"
    )
    assert "hunter2" not in str(to_json(load(str(tmp_path / "space.py")).space))


def test_what_is_kept_stays_when_objects_change(loaded):
    """Building a network may change what the function reads: a run keeps what it was."""
    space = loaded()
    keep(space)
    before = fingerprint(space)
    sys.modules["tracing_helpers"].LIMIT = 17
    assert fingerprint(space) == before
    keep(space)
    assert fingerprint(space) != before
