"""The program as a user starts it, ended by signals and started again."""

import json
import signal
import subprocess
import sys

import pytest

SPACE = """
from spaces import CNN, Digits, Float, Space
from studies import Study

space = Space(
    data=Digits(),
    backbone=CNN(filters=4, blocks=1),
    augment=None,
    learning_rate=Float(1e-3, 1e-1, log=True),
    batch_size=8,
    epochs=4,
)
study = Study(trials=4, pruner="none")
"""


@pytest.fixture
def project(tmp_path):
    """A folder with a space file."""
    (tmp_path / "mine.py").write_text(SPACE)
    return tmp_path


@pytest.fixture
def started():
    """Starts the program in a folder, with its output as pipes, and leaves none running."""
    processes = []

    def start(folder, *arguments):
        command = [sys.executable, "-m", "search.cli", *arguments]
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def until(process, text):
    """Read the output up to the line that holds the text."""
    for line in process.stdout:
        if text in line:
            return line
    pytest.fail(f"{text!r} never came: {process.stderr.read()}")


@pytest.mark.slow
def test_a_run_that_is_stopped_or_killed_loses_nothing(started, project):
    """Each time the same command resumes; the exit code names the signal, and the total stays exact."""
    for trial, number, code in ((0, signal.SIGKILL, -9), (1, signal.SIGTERM, 143), (2, signal.SIGINT, 130)):
        process = started(project, "run", "mine.py")
        until(process, f"trial {trial} complete")
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)
        assert process.returncode == code, errors
        assert "Traceback" not in errors
        assert number == signal.SIGKILL or "search run mine.py" in output
    process = started(project, "run", "mine.py")
    output, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert "trial 2 complete" not in output
    metrics = json.loads((project / "runs/mine/best/metrics.json").read_text())
    assert metrics["trials"] == {"complete": 4, "pruned": 0, "failed": 0}


@pytest.mark.slow
def test_the_second_signal_leaves_at_once(started, project):
    """Whoever asks twice does not wait."""
    process = started(project, "run", "mine.py")
    until(process, "trial 0 complete")
    for _ in range(2):
        process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
