"""Stopping early: the reason, and what signals do."""

import os
import signal
import subprocess
import sys

import pytest

from studies.stop_request import StopReason, StopRequest, signals

TWICE = """
import os, signal, sys
from studies.stop_request import StopRequest, signals
with signals(StopRequest(leaves_at_second=sys.argv[1] == "leaves"), on_second=lambda: os.write(1, b"killed ")):
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
print("continued")
"""


def test_first_signal_only_requests_a_stop():
    """The handler reports the signal, and the work continues to a point where it can stop."""
    reported = []
    stop = StopRequest()
    with signals(stop, reported.append):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), 0)
    assert (reported, stop.reason, stop()) == ([StopReason.SIGTERM], StopReason.SIGTERM, True)


@pytest.mark.parametrize(("mode", "code", "printed"), [("leaves", 143, "killed "), ("stays", 0, "continued\n")])
def test_second_signal_exits_unless_it_may_repeat_the_first(mode, code, printed):
    """A person who asks twice does not wait; a worker may receive one signal from two senders."""
    done = subprocess.run([sys.executable, "-c", TWICE, mode], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (code, printed)


def test_first_reason_is_kept_and_comes_before_limits():
    """A request outranks the limits; the GPU hours no longer count once the search is over."""
    stop = StopRequest(deadline=1.0, clock=lambda: 0.0)
    assert (stop.reason, stop()) == (None, False)
    stop.is_used_up = True
    assert stop.reason is StopReason.GPU_HOURS
    stop.end_search()
    assert (stop.reason, stop()) == (None, False)
    stop.reserve_seconds = 1.0
    assert stop.reason is StopReason.TIME_LIMIT
    stop.request(StopReason.STUDY_STOPPED)
    stop.request(StopReason.SIGINT)
    assert stop.reason is StopReason.STUDY_STOPPED


@pytest.mark.parametrize(
    ("stored", "reason"),
    [(None, None), ("", None), ("SIGTERM", StopReason.SIGTERM), ("search stop", StopReason.STUDY_STOPPED)],
)
def test_stored_reasons_are_values(stored, reason):
    """Text that is no known value means that the study was stopped."""
    assert StopReason.of_study(stored) is reason
