"""Ending on purpose, by signals."""

import os
import signal
import subprocess
import sys

import pytest

from studies.stop_request import StopRequest, signals

TWICE = """
import os, signal, sys
from studies.stop_request import StopRequest, signals
with signals(StopRequest(leaves_at_second=sys.argv[1] == "leaves"), on_second=lambda: os.write(1, b"killed ")):
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
print("went on")
"""


def test_the_first_signal_only_asks():
    """The handler tells, and the work goes on to where it can end."""
    told = []
    stop = StopRequest()
    with signals(stop, told.append):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), 0)
    assert (told, stop.signal_name, stop()) == (["SIGTERM"], "SIGTERM", True)


@pytest.mark.parametrize(("mode", "code", "said"), [("leaves", 143, "killed "), ("stays", 0, "went on\n")])
def test_the_second_signal_leaves_unless_it_may_be_the_first_once_more(mode, code, said):
    """A person who asks twice does not wait; a worker may hear of one signal from two sides."""
    done = subprocess.run([sys.executable, "-c", TWICE, mode], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (code, said)
