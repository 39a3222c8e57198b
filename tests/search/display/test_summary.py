import shlex
from pathlib import Path

import pytest

from search.display.screen import plain_lines
from search.display.summary import summary
from search.run_command import RunCommand
from studies.outcome import Progress
from studies.stop_request import StopReason
from tests.support import fake_events

BEST = fake_events.result().progress.best
HEAD = {**fake_events.METRICS, "features": {"path": "features", "max_abs_difference": 2.1e-6}}


def summarize(command=None, **changed):
    """The summary of a run as one text."""
    defaults = {"dropout": 0.2, "learning_rate": 0.001}
    return "\n".join(plain_lines(summary(fake_events.result(**changed), command or RunCommand("digits"), defaults)))


@pytest.mark.parametrize(
    ("changed", "fragments"),
    [
        ({}, ["+0.0104 over the baseline (0.9767)", "accuracy 0.9861, loss 0.0512 on 360", "1.2e-07"]),
        ({}, ["dropout 0.3123 (baseline 0.2)", "search evaluate runs/digits/best FOLDER", "search trials digits"]),
        ({"progress": Progress(3, 3, baseline=0.99, best=BEST)}, ["none; baseline (trial 0): 0.9900"]),
        ({"progress": Progress(3, 3, baseline=None, best=BEST)}, ["unknown"]),
        ({"progress": Progress(3, 3, baseline=1.5, best=BEST), "direction": "minimize"}, ["below the baseline"]),
        ({"timed_out": True}, ["time limit reached", "search run digits"]),
        ({"is_exhausted": True}, ["larger space"]),
        ({"metrics": HEAD}, ["cached features", "2.1e-06"]),
        (
            {"interrupted": StopReason.SIGINT, "progress": Progress(9), "metrics": None, "export": None},
            ["no completed trial yet", "by Ctrl-C", "last checkpoint", "search run digits"],
        ),
    ],
)
def test_the_summary_shows_the_outcome(changed, fragments):
    """Gain in the direction of the metric, test, export, why the run ended, and the command that continues."""
    shown = summarize(**changed)
    assert [fragment for fragment in fragments if fragment not in shown] == []
    assert "learning_rate" not in shown


def test_a_finished_study_shows_how_to_add_trials():
    """The command doubles the limit and keeps the typed options."""
    shown = summarize(RunCommand("my space.py", {"seed": 1, "trials": 3}), already_finished=True)
    assert "search run 'my space.py' --seed 1 --trials 6" in shown


def test_the_next_command_repeats_the_typed_options_without_the_password():
    """Study, database, folders and --no-export are kept; a password is redacted."""
    settings = {"name": "a", "storage": "mysql+pymysql://u:s3cret@h/d"}
    command = RunCommand("digits", settings, Path("my runs"), export=False, data="my photos", test="0.3")
    words = shlex.split(command.rerun_command())
    assert words[2:] == [
        *["digits", "--data", "my photos", "--test", "0.3", "--study", "a"],
        *["--storage", "mysql+pymysql://***@h/d", "--output", "my runs", "--no-export"],
    ]
    assert "s3cret" not in summarize(command, interrupted=StopReason.SIGINT)
