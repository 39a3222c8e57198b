"""Runs with several worker processes, as a user starts and stops them."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time

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
    epochs={epochs},
)
study = Study(trials=5, pruner="none", devices="cpu", {settings})
"""
PROGRAM = """
import sys
from search.cli import main
try:
    main()
finally:
    print("imported", sorted({"keras", "tensorflow", "jax"} & set(sys.modules)))
"""


class Program:
    """The program in a folder, and the study that it writes there."""

    def __init__(self, folder):
        self.folder = folder
        self.database = folder / "runs" / "mine" / "study.db"

    def start(self, settings="workers=2", *words, epochs=6):
        """Start it, with its output on pipes."""
        (self.folder / "mine.py").write_text(SPACE.format(settings=settings, epochs=epochs))
        command = [sys.executable, "-c", PROGRAM, "run", "mine.py", *words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, cwd=self.folder, **pipes)
        return self.process

    def ask(self, query):
        """Return rows of the study's database."""
        with sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True, timeout=20) as connection:
            return connection.execute(query).fetchall()

    def pids(self, state="alive"):
        """Return the process ids of the workers."""
        return [pid for (pid,) in self.ask(f"SELECT pid FROM search_workers WHERE state = '{state}'")]

    def until(self, found, seconds=120):
        """Wait until a query of the database finds something."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if answer := found():
                    return answer
            except sqlite3.OperationalError:
                pass
            time.sleep(0.2)
        pytest.fail(f"not within {seconds} s: {self.process.poll()}")

    def training(self):
        """Return the process ids of the workers that train, once there are two."""
        rows = self.ask("SELECT pid FROM search_workers WHERE state = 'alive' AND activity = 'training' AND epoch >= 1")
        return [pid for (pid,) in rows] if len(rows) == 2 else None

    def states(self):
        """Return the number of trials in each state."""
        return dict(self.ask("SELECT state, count(*) FROM trials GROUP BY state"))


@pytest.fixture
def program(tmp_path):
    """Return the program, and leave no process of it running."""
    made = Program(tmp_path)
    yield made
    made.process.kill()
    made.process.communicate()
    if made.database.exists():
        for pid in filter(is_running, made.pids()):
            os.kill(pid, signal.SIGKILL)


def is_running(pid):
    """Return True if the process exists and is no zombie."""
    try:
        with open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123 - it may vanish
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_error_of_every_worker_is_reported_once(program):
    """Workers that cannot start end the run with their message and exit code; the supervisor never loads Keras."""
    program.start("workers=2", "--data", ".")
    output, errors = program.process.communicate(timeout=60)
    assert program.process.returncode == 4
    assert errors.count("error: ") == 1
    assert "class" in errors
    assert output.endswith("imported []\n")


@pytest.mark.slow
def test_workers_share_a_study_and_one_exports(program):
    """The study has exactly its trials, with a line for each, and the summary of a single process."""
    program.start()
    output, errors = program.process.communicate(timeout=300)
    assert program.process.returncode == 0, errors
    assert program.states() == {"COMPLETE": 5}
    assert [line.split()[0] for line in output.splitlines() if " complete: " in line] == [f"{n}/5" for n in range(1, 6)]
    assert "test       accuracy" in output
    assert "export     runs/mine/best" in output
    assert output.endswith("imported []\n")
    assert len(program.pids("ended")) == 2
    assert {path.name for path in (program.database.parent / "logs").iterdir()} == {"worker-1.log", "worker-2.log"}


@pytest.mark.slow
def test_killed_worker_is_restarted_and_nothing_is_lost(program):
    """Another worker claims its trial within seconds, and the study has exactly its trials."""
    program.start("workers=2", "--trials", "3", "--no-export", epochs=60)
    victim = program.until(program.training)[0]
    os.kill(victim, signal.SIGKILL)
    program.until(lambda: victim in program.pids("lost"), seconds=5)
    output, errors = program.process.communicate(timeout=300)
    assert program.process.returncode == 0, errors
    assert "was killed by SIGKILL; restarting" in output
    assert program.states() == {"COMPLETE": 3}
    assert program.ask("SELECT count(*) FROM search_workers")[0][0] == 3


@pytest.mark.slow
def test_signal_stops_all_workers_cleanly(program):
    """All have stopped within 10 seconds, and their trials wait."""
    program.start(epochs=200)
    pids = program.until(program.training)
    program.process.send_signal(signal.SIGTERM)
    output, errors = program.process.communicate(timeout=12)
    assert program.process.returncode == 143, errors
    assert "Resume with:" in output
    assert not any(map(is_running, pids))
    assert program.states().get("WAITING") == 2
    assert "RUNNING" not in program.states()


@pytest.mark.slow
def test_second_signal_kills_the_workers(program):
    """No process is left a moment later."""
    program.start(epochs=200)
    pids = program.until(program.training)
    program.process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    program.process.send_signal(signal.SIGINT)
    program.process.communicate(timeout=3)
    assert program.process.returncode == 130
    program.until(lambda: not any(map(is_running, pids)), seconds=3)


@pytest.mark.slow
def test_workers_stop_when_their_supervisor_is_killed(program):
    """They release their trials, and the next run resumes the study."""
    program.start(epochs=200)
    pids = program.until(program.training)
    program.process.kill()
    program.process.communicate()
    program.until(lambda: not any(map(is_running, pids)), seconds=20)
    assert "RUNNING" not in program.states()
    assert sorted(program.pids("ended")) == sorted(pids)
    program.start("workers=2", "--no-export", epochs=200)
    program.until(lambda: set(program.pids()) - set(pids))
    program.process.send_signal(signal.SIGTERM)
    output, errors = program.process.communicate(timeout=60)
    assert program.process.returncode == 143, errors
    assert re.search(r"mine \(resumed, [0-2] of 5 trials done", output), output


@pytest.mark.slow
def test_worker_process_restarts_after_its_trials(program):
    """A new process continues without a message, within the same time limit."""
    program.start("workers=1, trials_per_process=2, timeout='1h'", "--trials", "3", "--no-export", epochs=2)
    program.until(lambda: program.pids())
    deadline = program.ask("SELECT deadline FROM search_studies")
    output, errors = program.process.communicate(timeout=300)
    assert program.process.returncode == 0, errors
    assert program.states() == {"COMPLETE": 3}
    assert len(program.pids("ended")) == 2
    assert program.ask("SELECT deadline FROM search_studies") == deadline
    assert "restarting" not in output
