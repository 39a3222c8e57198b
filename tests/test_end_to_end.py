"""The program as a user starts and stops it, with one process and with several workers."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time

import optuna
import pytest
from optuna.trial import TrialState

from studies.database.stored_trials import outcome_of
from studies.database.urls import sqlite_url

SPACE = """
from spaces import CNN, Digits, Float, Space
from studies import Study

space = Space(
    data=Digits(), backbone=CNN(filters=4, blocks=1), augment=None, learning_rate=Float(1e-3, 1e-1, log=True),
    batch_size=8, epochs={epochs},
)
study = Study(trials=5, pruner="none", {settings})
"""
CRASHING = """
import os
import signal

import keras

from spaces import Choice, Constant, Custom, Digits, Space
from studies import Study


def build(recipe, input_shape, outputs):
    units = recipe.model.units
    if units in {deadly}:
        os.kill(os.getpid(), signal.SIGKILL)
    layers = [keras.layers.Flatten(), keras.layers.Dense(units, "relu"), keras.layers.Dense(outputs)]
    return keras.Sequential([keras.Input(input_shape), *layers])


space = Space(
    data=Digits(), model=Custom(build, units=Choice(4, 5, 6, 7, default=4)), augment=None, batch_size=128, epochs=2,
    learning_rate=0.01, dropout=0.0, schedule=Constant(),
)
study = Study(trials=4, sampler="grid", pruner="none", retries=1, {settings})
"""
PROGRAM = """
import sys
from search.cli import main
try:
    main()
finally:
    print("imported", sorted({"keras", "tensorflow", "jax"} & set(sys.modules)))
"""
ONE, TWO = "", "devices='cpu', workers=2"


class Program:
    """The program in a folder, and the study that it writes there."""

    def __init__(self, folder):
        self.folder = folder
        self.database = folder / "runs" / "mine" / "study.db"

    def start(self, settings=TWO, *words, epochs=6, space=SPACE, deadly=()):
        """Start a run, with its output on pipes."""
        (self.folder / "mine.py").write_text(space.format(settings=settings, epochs=epochs, deadly=deadly))
        command = [sys.executable, "-c", PROGRAM, "run", "mine.py", *words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, cwd=self.folder, **pipes)

    def end(self, code=0, seconds=300):
        """Wait for the end of the run and return its output and its errors."""
        output, errors = self.process.communicate(timeout=seconds)
        assert self.process.returncode == code, errors
        assert "Traceback" not in errors
        return output, errors

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

    def until_training(self, count=2):
        """Return the process ids of the workers that train, once there are `count` of them."""
        query = "SELECT pid FROM search_workers WHERE state = 'alive' AND activity = 'training' AND epoch >= 1"
        rows = self.until(lambda: found if len(found := self.ask(query)) == count else None)
        return [pid for (pid,) in rows]

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


@pytest.mark.slow
def test_run_that_is_stopped_or_killed_loses_nothing(program):
    """Each time the same command resumes; the exit code names the signal, and the total stays exact."""
    for done, number, code in ((1, signal.SIGKILL, -9), (2, signal.SIGTERM, 143), (3, signal.SIGINT, 130)):
        program.start(ONE)
        program.until(lambda done=done: program.states().get("COMPLETE", 0) >= done)
        program.process.send_signal(number)
        output, _ = program.end(code, 60)
        assert number == signal.SIGKILL or "search run mine.py" in output
    program.start(ONE)
    assert "trial 2 complete" not in program.end()[0]
    metrics = json.loads((program.folder / "runs/mine/best/metrics.json").read_text())
    assert metrics["trials"] == {"complete": 5, "pruned": 0, "failed": 0}


@pytest.mark.slow
@pytest.mark.parametrize(("settings", "workers"), [(ONE, 1), (TWO, 2)], ids=["one process", "two workers"])
def test_second_signal_ends_the_run_at_once(program, settings, workers):
    """No process is left a moment later."""
    program.start(settings, epochs=200)
    pids = program.until_training(workers)
    program.process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    program.process.send_signal(signal.SIGINT)
    program.end(130, seconds=3)
    program.until(lambda: not any(map(is_running, pids)), seconds=3)


def test_error_of_every_worker_is_reported_once(program):
    """Workers that cannot start end the run with their message and exit code; the supervisor never loads Keras."""
    program.start(TWO, "--data", ".")
    output, errors = program.end(4, seconds=60)
    assert errors.count("error: ") == 1
    assert "class" in errors
    assert output.endswith("imported []\n")


@pytest.mark.slow
def test_workers_share_a_study_and_one_exports(program):
    """The study has exactly its trials, with a line for each, and the summary of a single process."""
    program.start()
    output, _ = program.end()
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
    program.start(TWO, "--trials", "3", "--no-export", epochs=60)
    victim = program.until_training()[0]
    os.kill(victim, signal.SIGKILL)
    program.until(lambda: victim in program.pids("lost"), seconds=5)
    assert "was killed by SIGKILL; restarting" in program.end()[0]
    assert program.states() == {"COMPLETE": 3}
    assert program.ask("SELECT count(*) FROM search_workers")[0][0] == 3


@pytest.mark.slow
def test_signal_stops_all_workers_cleanly(program):
    """All have stopped within 10 seconds, and their trials wait."""
    program.start(epochs=200)
    pids = program.until_training()
    program.process.send_signal(signal.SIGTERM)
    assert "Resume with:" in program.end(143, seconds=12)[0]
    assert not any(map(is_running, pids))
    assert program.states().get("WAITING") == 2
    assert "RUNNING" not in program.states()


@pytest.mark.slow
def test_workers_stop_when_their_supervisor_is_killed(program):
    """They release their trials, and the next run resumes the study."""
    program.start(epochs=200)
    pids = program.until_training()
    program.process.kill()
    program.process.communicate()
    program.until(lambda: not any(map(is_running, pids)), seconds=20)
    assert "RUNNING" not in program.states()
    assert sorted(program.pids("ended")) == sorted(pids)
    program.start(TWO, "--no-export", epochs=200)
    program.until(lambda: set(program.pids()) - set(pids))
    program.process.send_signal(signal.SIGTERM)
    output, _ = program.end(143, seconds=60)
    assert re.search(r"mine \(resumed, [0-2] of 5 trials done", output), output


@pytest.mark.slow
def test_worker_process_restarts_after_its_trials(program):
    """A new process continues without a message, within the same time limit."""
    program.start("workers=1, trials_per_process=2, timeout='1h'", "--trials", "3", "--no-export", epochs=2)
    program.until(lambda: program.pids())
    deadline = program.ask("SELECT deadline FROM search_studies")
    assert "restarting" not in program.end()[0]
    assert program.states() == {"COMPLETE": 3}
    assert len(program.pids("ended")) == 2
    assert program.ask("SELECT deadline FROM search_studies") == deadline


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "deadly"), [(1, {4, 6, 7}), (2, {6})])
def test_trials_that_crash_their_workers_fail_and_the_others_complete(program, workers, deadly):
    """As by a fault in native code: also if the baseline crashes, or several trials, one right after another."""
    program.start(f"devices='cpu', workers={workers}", "--no-export", space=CRASHING, deadly=deadly)
    program.end(seconds=400)
    storage = optuna.storages.RDBStorage(sqlite_url(program.database))
    trials = optuna.load_study(study_name="mine", storage=storage).get_trials(deepcopy=False)
    storage.engine.dispose()
    assert [trial.number for trial in trials] == [0, 1, 2, 3]
    failed = [trial for trial in trials if trial.params["model.units"] in deadly]
    assert {trial.state for trial in failed} == {TrialState.FAIL}
    assert {trial.state for trial in trials if trial not in failed} == {TrialState.COMPLETE}
    reason = "2 workers crashed on it without completing an epoch"
    assert {outcome_of(trial).reason for trial in failed} == {reason}
    command = [sys.executable, "-m", "search", "trials", "mine"]
    listed = subprocess.run(command, cwd=program.folder, capture_output=True, text=True, check=True)
    assert listed.stdout.count("2 workers crashed") == len(deadly)
