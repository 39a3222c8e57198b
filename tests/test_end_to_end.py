"""The program as a user starts it, ended by signals and started again."""

import csv
import io
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
study = Study(trials=3, pruner="none")
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


def trials(project):
    """The trials of the study, as CSV gives them."""
    ended = subprocess.run(
        [sys.executable, "-m", "search.cli", "trials", "mine", "--csv"],
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
    )
    return list(csv.DictReader(io.StringIO(ended.stdout)))


def finish(started, project):
    """Run to the end, and return the export's metrics."""
    process = started(project, "run", "mine.py")
    output, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    return output, json.loads((project / "runs/mine/best/metrics.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_a_signal_ends_the_run_in_good_order_and_the_next_goes_on(started, project, number, code):
    """The running trial is kept, the exit code says which signal it was, and the total stays exact."""
    process = started(project, "run", "mine.py")
    until(process, "trial 0 complete")
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert "Traceback" not in errors
    assert "search run mine.py" in output
    output, metrics = finish(started, project)
    assert metrics["trials"] == {"complete": 3, "pruned": 0, "failed": 0}
    assert [row["number"] for row in trials(project)] == ["0", "1", "2"]


@pytest.mark.slow
def test_a_killed_run_loses_nothing(started, project):
    """After `kill -9` in the middle of a trial the same command ends with exactly the trials asked for."""
    process = started(project, "run", "mine.py")
    until(process, "trial 0 complete")
    process.kill()
    process.communicate(timeout=60)
    _, metrics = finish(started, project)
    assert metrics["trials"] == {"complete": 3, "pruned": 0, "failed": 0}
    assert [row["number"] for row in trials(project)] == ["0", "1", "2"]
    output, _ = finish(started, project)
    assert "trial 0 complete" not in output


@pytest.mark.slow
def test_the_second_signal_leaves_at_once(started, project):
    """Whoever asks twice does not wait."""
    process = started(project, "run", "mine.py")
    until(process, "trial 0 complete")
    for _ in range(2):
        process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130


@pytest.mark.slow
def test_the_same_seed_gives_the_same_search(started, project):
    """Two runs on one machine have the same parameters and the same values."""
    rows = []
    for name in ("one", "two"):
        process = started(project, "run", "mine.py", "--no-export", "--output", name)
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
        (project / name).rename(project / "runs")
        rows.append([{k: v for k, v in row.items() if k != "seconds"} for row in trials(project)])
        (project / "runs").rename(project / name)
    assert rows[0] == rows[1]
