"""What is reported of the difference between two snapshots."""

import os
import socket
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

from studies import Study
from studies.database.urls import sqlite_url
from studies.events import TrialEnded
from studies.outcome import Progress, WorkerInfo
from studies.status.monitor import StudyMonitor, StudySnapshot
from studies.workers.event_relay import EventRelay
from tests.support.fakes import Recorder, run_tiny

OWN = WorkerInfo(socket.gethostname(), 11, "CPU", log="logs/worker-1.log", worker_id="a")
OTHER = WorkerInfo("elsewhere", 12, "GPU 0", worker_id="b")


@dataclass
class WorkerRecorder(Recorder):
    """Records what is reported of workers too."""

    lines: list = field(default_factory=list)
    workers: list = field(default_factory=list)

    def on_workers_changed(self, workers):
        self.workers = list(workers)

    def on_worker_output(self, *texts):
        self.lines.append(texts[-1])

    on_worker_lost = on_worker_output


def snapshot(*workers, exporter=None):
    return StudySnapshot(Progress(4), workers, (), SimpleNamespace(exporter_id=exporter))


def relay_to_recorder(**known):
    recorder = WorkerRecorder()
    return recorder, EventRelay(recorder, lambda now: now, **known)


def test_study_is_reported_once_with_all_its_workers():
    """The first snapshot opens the study."""
    recorder, relay = relay_to_recorder()
    for _ in range(2):
        relay.relay(snapshot(OTHER, OWN), {11})
    assert len(recorder.events) == 1
    assert recorder.workers == sorted([OTHER, OWN], key=lambda worker: worker.host)


def test_each_trial_is_reported_once_with_the_progress_of_its_moment(tmp_path):
    """Trials that end between two snapshots are counted one by one; those of earlier runs are not reported."""
    settings = Study(trials=4, sampler="random", pruner="none")
    run_tiny(tmp_path, replace(settings, trials=1))
    run_tiny(tmp_path, settings)
    now = StudyMonitor(sqlite_url(tmp_path / "study.db"), "tiny").refresh()
    recorder, relay = relay_to_recorder(reported={0})
    for _ in range(2):
        relay.relay(replace(now, workers=(replace(OWN, pid=os.getpid()),)), {os.getpid()})
    ended = recorder.of(TrialEnded)
    assert [(event.number, event.progress.done) for event in ended] == [(1, 2), (2, 3), (3, 4)]
    assert all(event.outcome.state == "complete" and event.outcome.epochs == 9 for event in ended)


def test_lost_worker_of_another_supervisor_is_reported_once():
    """The supervisor reports its own crashed processes itself."""
    recorder, relay = relay_to_recorder()
    relay.relay(snapshot(OWN, OTHER), {11})
    for _ in range(2):
        relay.relay(snapshot(replace(OWN, state="lost"), replace(OTHER, state="lost")), {11})
    assert len(recorder.lines) == 1
    assert "elsewhere pid 12" in recorder.lines[0]


def test_starting_process_replaces_its_crashed_predecessor():
    """The table shows a replacement from its start on, and no longer the process that it replaces."""
    recorder, relay = relay_to_recorder()
    starting = replace(OWN, worker_id="", pid=13, activity="starting")
    relay.relay(snapshot(replace(OWN, state="lost"), OTHER), {11, 13}, [starting])
    assert recorder.workers == sorted([OTHER, starting], key=lambda worker: worker.host)
    joined = replace(OWN, pid=13)
    relay.relay(snapshot(replace(OWN, state="lost"), joined), {11, 13}, [starting])
    assert recorder.workers == [joined]


def test_exporter_is_reported_once():
    """Retraining takes long enough to be shown."""
    recorder, relay = relay_to_recorder()
    for _ in range(2):
        relay.relay(snapshot(OWN, exporter="a"), {11})
    assert len(recorder.lines) == 1
    assert recorder.lines[0].startswith(OWN.name)
