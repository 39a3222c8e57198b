from unittest.mock import Mock

import pytest

from search.display.log_screen import LogScreen
from search.display.messages import trial_line
from studies.events import TrialEnded
from studies.outcome import Best, Progress, TrialOutcome
from studies.stop_request import StopReason
from tests.support import fake_events


def test_a_closed_pipe_stops_the_run(monkeypatch):
    """It requests one clean stop, so that the running trial returns to the queue, and nothing is written again."""
    requested = []
    monkeypatch.setattr("search.display.log_screen.print_line", Mock(side_effect=BrokenPipeError))
    with LogScreen("digits", requested.append) as screen:
        fake_events.play(screen, fake_events.WIDE_SPACE)
    assert requested == [StopReason.SIGPIPE]


@pytest.mark.parametrize("event", ["on_data_progress", "on_features_progress"])
def test_progress_is_printed_every_ten_seconds(capsys, event):
    """Decoding and computing features take minutes and call for every image."""
    now = [0.0]
    screen = LogScreen("digits", lambda reason: None, clock=lambda: now[0])
    for second in range(25):
        now[0] = float(second)
        getattr(screen, event)(second, 100)
    lines = capsys.readouterr().out.splitlines()
    assert [f"{count} of 100" in line for count, line in zip((0, 10, 20), lines, strict=True)] == [True] * 3


@pytest.mark.parametrize(
    ("state", "value", "reason", "line"),
    [
        ("complete", 0.9, "", "trial 3 complete: 0.9000 at epoch 4 of 9, 8s"),
        ("pruned", 0.1, "pruned after epoch 4 of 9", "trial 3 pruned after epoch 4 of 9: 0.1000, 8s"),
        ("failed", None, "ValueError: no", "trial 3 failed (ValueError: no), 8s"),
        ("waiting", None, "SIGINT", "trial 3 returned to the queue (Ctrl-C), 8s"),
    ],
)
def test_a_trial_is_one_line(state, value, reason, line):
    """State, reason and epoch are named once."""
    progress = Progress(9, best=Best(1, 0.95, 2, {}))
    event = TrialEnded(3, TrialOutcome(state, value, 4, 9, 8.0, reason), progress)
    assert trial_line(event) == f"{line} (best 0.9500, trial 1)"
