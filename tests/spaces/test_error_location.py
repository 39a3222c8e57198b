"""Errors of a space file: each names the file, the line and the user's own source."""

import sys

import pytest

from spaces import SpaceError
from spaces.loading import load
from tests.spaces.test_loading import HEAD, write


def error_lines(folder, source):
    """Load a file that fails; returns the lines of its error, without the folder."""
    with pytest.raises(SpaceError) as caught:
        load(write(folder, source))
    return str(caught.value).replace(f"{folder}/", "").split("\n")


@pytest.mark.parametrize(
    ("source", "line", "message"),
    [
        ("x = (1,\ny = 2\n", 1, "invalid Python: '(' was never closed"),
        ("if 1:\nx = 2\n", 2, "invalid Python: expected an indented block"),
        ("import math\ndef f(x):\n    return math.sqrt(x)\nf(-1)\n", 3, "ValueError: math domain error"),
        ("x = 1\nassert x == 2\n", 2, "AssertionError"),
        ("import no_such_module\n", 1, "module 'no_such_module' not found"),
        ("from spaces import Chioce\n", 1, "spaces does not define Chioce\nhint: did you mean Choice?"),
        ("from math import pie\n", 1, "ImportError: cannot import name 'pie'"),
        ("import sys\nsys.exit(3)\n", 2, "the file ends the program with SystemExit(3)"),
        ("raise KeyboardInterrupt\n", 1, "KeyboardInterrupt"),
        ("space = 1\nspace = [2]\n", 2, "space: got [2], expected a Space(...)"),
        ("def space(): ...\n", 1, "space: got <function"),
        ("import math as space\n", 1, "space: got <module"),
        ("from studies import Study\nstudy = Study(\n    trials=0,\n)\n", 3, "trials: got 0"),
    ],
)
def test_errors_show_the_users_line(tmp_path, source, line, message):
    """File, line number, source and reason, without a traceback."""
    shown = error_lines(tmp_path, source)
    assert shown[:2] == [f"space.py, line {line}:", f"    {source.splitlines()[line - 1].strip()}"]
    assert "\n".join(shown[2:]).startswith(message)
    assert len(shown) <= 4


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"x = 1\n\0", "space.py: invalid Python: source code string cannot contain null bytes"),
        ("", "space.py does not define `space`\nhint: add a line such as space = Space("),
        (HEAD + "my = Space(Digits())\n", "space.py does not define `space`\nhint: rename `my` to `space`"),
    ],
)
def test_errors_of_a_whole_file_have_no_line(tmp_path, source, message):
    """The message starts with the file."""
    assert "\n".join(error_lines(tmp_path, source)).startswith(message)


@pytest.mark.parametrize(
    ("source", "number", "line", "message"),
    [
        ("Space(\n  data=Digits(),\n  dropout=Float(0.6, 0.2),\n)", 4, "dropout=Float(0.6, 0.2),", "dropout: got low"),
        ("Space(\n  Digits(),\n  backbone=CNN(\n    filter=3))", 5, "filter=3))", "CNN(filter=...): no such field"),
        ("Space(\n  Digits(),\n  backbone=CNN(0),\n)", 4, "backbone=CNN(0),", "backbone.filters: got 0"),
        ("Space(\n  Digits(),\n  # epochs=1\n  epochs=0)", 5, "epochs=0)", "epochs: got 0"),
        (
            "Space(\n  Digits(),\n  backbone=Choice(\n    a=CNN(filters=0),\n    b=CNN(filters=2)))",
            5,
            "a=CNN(filters=0),",
            "backbone.a.filters: got 0",
        ),
        ("Space(\n  epochs=1)", 2, "space = Space(", "Space(...): missing data"),
    ],
)
def test_errors_of_a_field_show_the_line_of_its_keyword(tmp_path, source, number, line, message):
    """Of a call over several lines, the line of the field is shown."""
    where, shown, told = error_lines(tmp_path, f"{HEAD}space = {source}\n")[:3]
    assert (where, shown) == (f"space.py, line {number}:", f"    {line}")
    assert told.startswith(message)


@pytest.mark.parametrize(
    ("module", "line"), [(HEAD + "def net():\n    return CNN(filter=3)\nnet()\n", 3), ("x = = 3\n", 1)]
)
def test_errors_in_an_imported_module_show_its_line(tmp_path, module, line):
    """The innermost line of the user's code counts."""
    write(tmp_path, module, "nets_beside.py")
    expected = [f"nets_beside.py, line {line}:", f"    {module.splitlines()[line - 1].strip()}"]
    assert error_lines(tmp_path, "import nets_beside\n")[:2] == expected


def test_windows_line_ends_and_byte_order_marks_are_read(tmp_path):
    """Editors differ in both."""
    source = b"\xef\xbb\xbffrom spaces import *\r\nspace = Space(\r\n    Digits(),\r\n    epochs={},\r\n)\r\n"
    assert load(write(tmp_path, source.replace(b"{}", b"3"))).space.epochs == 3
    assert error_lines(tmp_path, source.replace(b"{}", b"0"))[:2] == ["space.py, line 4:", "    epochs=0,"]


def test_failed_files_leave_no_modules(tmp_path):
    """After an error `sys.modules` is as before."""
    before = set(sys.modules)
    error_lines(tmp_path, "1 / 0\n")
    assert set(sys.modules) == before


def test_ctrl_c_is_not_an_error_of_the_file(tmp_path):
    """Ctrl-C while a file is read ends the program."""
    with pytest.raises(KeyboardInterrupt):
        load(write(tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nfor _ in range(10**6): pass\n"))
