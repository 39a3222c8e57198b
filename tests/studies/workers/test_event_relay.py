"""What is told of the difference between two looks."""

import os
import socket
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

from studies import Study
from studies.database.urls import sqlite_url
from studies.events import RunListener
from studies.outcome import Progress, WorkerInfo
from studies.status.monitor import StudyMonitor, StudySnapshot
from studies.workers.event_relay import EventRelay
from tests.support.fakes import run_tiny

OWN = WorkerInfo(socket.gethostname(), 11, "CPU", log="logs/worker-1.log", worker_id="a")
OTHER = WorkerInfo("elsewhere", 12, "GPU 0", worker_id="b")


@dataclass
class Heard(RunListener):
    """Keeps what it is told."""

    told: list = field(default_factory=list)
    workers: list = field(default_factory=list)
    ended: list = field(default_factory=list)
    opened: list = field(default_factory=list)

    def on_study_opened(self, event):
        self.opened.append(event)

    def on_trial_ended(self, event):
        self.ended.append(event)

    def on_workers_changed(self, workers):
        self.workers = list(workers)

    def on_worker_lost(self, text):
        self.told.append(text)

    def on_worker_output(self, label, text):
        self.told.append(text)


def snapshot(*workers, ended=(), exporter=None):
    return StudySnapshot(Progress(4), workers, tuple(ended), SimpleNamespace(exporter_id=exporter))


def teller(**known):
    heard = Heard()
    return heard, EventRelay(heard, lambda now: now, **known)


def test_the_study_is_reported_once_with_all_its_workers():
    """The first snapshot opens the study."""
    heard, telling = teller()
    for _ in range(2):
        telling.tell(snapshot(OTHER, OWN), {11})
    assert len(heard.opened) == 1
    assert heard.workers == sorted([OTHER, OWN], key=lambda worker: worker.host)


def test_each_trial_is_told_once_in_order_with_the_count_of_its_moment(tmp_path):
    """Trials that end between two looks are counted one after the other; those of earlier runs are not told."""
    settings = Study(trials=4, sampler="random", pruner="none")
    run_tiny(tmp_path, replace(settings, trials=1))
    run_tiny(tmp_path, settings)
    seen = StudyMonitor(sqlite_url(tmp_path / "study.db"), "tiny").look()
    heard, telling = teller(told={0})
    for _ in range(2):
        telling.tell(replace(seen, workers=(replace(OWN, pid=os.getpid()),)), {os.getpid()})
    assert [(event.number, event.progress.done) for event in heard.ended] == [(1, 2), (2, 3), (3, 4)]
    assert all(event.state == "complete" and event.epochs == 9 for event in heard.ended)


def test_a_worker_of_another_machine_that_is_lost_is_told_once():
    """Of one's own dead processes the supervisor knows more, and tells it itself."""
    heard, telling = teller()
    telling.tell(snapshot(OWN, OTHER), {11})
    for _ in range(2):
        telling.tell(snapshot(replace(OWN, state="lost"), replace(OTHER, state="lost")), {11})
    assert heard.told == ["elsewhere pid 12 was lost: its trial goes on elsewhere"]


def test_workers_that_start_are_shown_in_place_of_the_dead():
    """The table shows a replacement from its start on, and not the process that it replaces beside it."""
    heard, telling = teller()
    starting = replace(OWN, worker_id="", pid=13, activity="starting")
    telling.tell(snapshot(replace(OWN, state="lost"), OTHER), {11, 13}, [starting])
    assert heard.workers == sorted([OTHER, starting], key=lambda worker: worker.host)
    joined = replace(OWN, pid=13)
    telling.tell(snapshot(replace(OWN, state="lost"), joined), {11, 13}, [starting])
    assert heard.workers == [joined]


def test_who_exports_is_told_once():
    """The retraining takes long enough to be told."""
    heard, telling = teller()
    for _ in range(2):
        telling.tell(snapshot(OWN, exporter="a"), {11})
    assert heard.told == [f"{OWN.name}: retraining, testing and writing the best trial"]
