"""Of what a library says, the line that tells what went wrong is kept."""

import pytest

from studies.backend.error_text import error_reason, is_native, summarize

GRAPH = """Graph execution error:

Detected at node compile_loss/SparseSoftmax/SparseSoftmax defined at (most recent call last):
  File "space.py", line 7, in <module>

  File "/usr/lib/python3.11/site-packages/keras/src/trainer.py", line 399, in fit

Received a label value of 9 which is outside the valid range of [0, 3).  Label values: 0 2 9 1
\t [[{{node compile_loss/SparseSoftmax/SparseSoftmax}}]] [Op:__inference_one_step_on_data_123]"""
LAYER = (
    "Exception encountered when calling Conv2D.call().\n\n\x1b[1mNegative dimension size caused by subtracting 3 from "
    "2.\x1b[0m\n\nArguments received by Conv2D.call():\n  • args=('<KerasTensor>',)\n  • kwargs={}"
)
PYTHON = """ValueError: bad pixels
Traceback (most recent call last):

  File "script_ops.py", line 267, in __call__
    return func(device, token, args)
           ^^^^^^^^^^^^^^^^^^^^^^^^^

ValueError: bad pixels in x.png

\t [[{{node EagerPyFunc}}]] [Op:IteratorGetNext] name: """
ROOTS = """2 root error(s) found.
  (0) INVALID_ARGUMENT: Incompatible shapes: [2,3] vs. [4]
\t [[{{node add}}]]
0 successful operations.
0 derived errors ignored. [Op:__inference_1]
Incompatible shapes: [2,3] vs. [4]"""


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        (GRAPH, "Received a label value of 9 which is outside the valid range of [0, 3). Label values: 0 2 9 1"),
        (LAYER, "Negative dimension size caused by subtracting 3 from 2."),
        (PYTHON, "ValueError: bad pixels in x.png"),
        (ROOTS, "Incompatible shapes: [2,3] vs. [4]"),
    ],
    ids=["graph", "layer", "python", "roots"],
)
def test_the_informative_line_of_a_native_traceback_is_kept(text, summary):
    """Not the lines before it, which only say where it arose."""
    assert is_native(text)
    assert summarize(text) == summary


def test_what_a_user_wrote_is_kept_whole():
    """Its lines are joined; of a long text the beginning and the last line are kept."""
    assert error_reason(ValueError("units: 3\n  must be even")) == "ValueError: units: 3 must be even"
    assert error_reason(ValueError()) == "ValueError"
    long = summarize("first line\n" + "x" * 500 + "\nthe last line")
    assert long == "first line … the last line"
    assert len(summarize("x" * 900)) == 300
