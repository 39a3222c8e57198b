"""Looks at a study from outside: its trials and its workers, on whatever machine, again and again."""

import contextlib
import math
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from spaces.errors import SearchError
from studies.database import stored_trials
from studies.database.connection import open_storage
from studies.database.errors import DATABASE_ERRORS
from studies.database.identities import StudyDeletedError, identity_of, require
from studies.database.lost_workers import mark_process_lost
from studies.database.optuna_tables import FINISHED
from studies.database.study_control import read_control
from studies.database.tables import has_tables
from studies.database.transactions import Database
from studies.database.worker_storage import WorkerStorage
from studies.database.workers import read_workers
from studies.outcome import LOST, Progress, WorkerInfo

SECONDS_BETWEEN_LOOKS = 1.0
LOST_IS_SHOWN_SECONDS = 60.0
_AWAY = (*DATABASE_ERRORS, SearchError, RuntimeError, KeyError)
"""What is raised by a database that is away, or that is not there yet."""


@dataclass(frozen=True)
class StudySnapshot:
    """A study at one moment.

    Args:
        progress: How far it is.
        workers: The workers that are alive, or were lost lately.
        ended: The trials that have ended, in the order in which they did.
        steering: The row that steers it.
        identity: What no other study has.
        age_seconds: Time since its first worker joined, on the database's clock.
    """

    progress: Progress
    workers: tuple[WorkerInfo, ...]
    ended: tuple[FrozenTrial, ...]
    control: Any
    identity: str = ""
    age_seconds: float = 0.0


@dataclass(frozen=True)
class MonitoredStudy:
    """A study that is looked at.

    Args:
        study: Optuna's study, on a `WorkerStorage`.
        database: Its database.
        identity: What no other study has.
    """

    study: optuna.Study
    database: Database
    identity: str

    def look(self) -> StudySnapshot | None:
        """The study at this moment; None while no worker has described how it is steered.

        Raises:
            StudyDeleted: It is gone.
        """
        self.database.read(lambda connection: require(connection, self.study._study_id, self.identity))
        row = read_control(self.database, self.study._study_id)
        if row is None:
            return None
        known = self.study.get_trials(deepcopy=False)
        ended = [trial for trial in known if trial.state in FINISHED]
        ended.sort(key=lambda trial: (trial.datetime_complete is None, trial.datetime_complete, trial.number))
        workers = self.database.read(lambda connection: read_workers(connection, self.study._study_id))
        progress = stored_trials.progress(self.study, row.trial_budget)
        return StudySnapshot(
            progress,
            tuple(worker for worker in workers if _is_shown(worker)),
            tuple(ended),
            row,
            self.identity,
            age_seconds=max((worker.age_seconds for worker in workers), default=0.0),
        )

    def mark_lost(self, pid: int) -> None:
        """Mark the worker of a dead process of this machine as lost, so that another one resumes its trial at once."""
        self.database.run(lambda connection: mark_process_lost(connection, self.study._study_id, pid))


def watched(url: str, name: str) -> MonitoredStudy | None:
    """The study of that name, or None while there is none that search has opened.

    Raises:
        SearchError: The database cannot be used.
    """
    with contextlib.ExitStack() as open_ones:
        looking = open_storage(url, reading=True)
        open_ones.callback(looking.engine.dispose)
        if name not in optuna.get_all_study_names(looking):
            return None
        study_id = looking.get_study_id_from_name(name)
        with looking.engine.connect() as connection:
            identity = identity_of(connection, study_id) if has_tables(connection) else None
        if identity is None:
            return None
    storage = open_storage(url)
    # Whoever looks again in a second does not wait for a database that is away.
    database = Database(storage.engine, retry_timeout=lambda: 0.0)
    study = optuna.load_study(study_name=name, storage=WorkerStorage(storage, database, study_id))
    return MonitoredStudy(study, database, identity)


def _is_shown(worker: WorkerInfo) -> bool:
    return worker.is_alive or (worker.state == LOST and worker.heartbeat_seconds < LOST_IS_SHOWN_SECONDS)


class StudyMonitor:
    """A thread that looks at a study about once a second, and waits for it where it is not there yet.

    The database may be away for as long as it wants: whoever asks for the latest snapshot never waits for it.

    Args:
        url: URL of the database.
        name: Name of the study.
        seconds: Between two looks.
    """

    def __init__(self, url: str, name: str, seconds: float = SECONDS_BETWEEN_LOOKS) -> None:
        self._url, self._name, self._seconds = url, name, seconds
        self._watched: MonitoredStudy | None = None
        self._dead: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._unheard: list[int] = []
        self._wake, self._over = threading.Event(), threading.Event()
        self.latest: StudySnapshot | None = None
        self.looked_at = -math.inf
        """When the latest look began, on `time.monotonic`."""

    def look(self) -> StudySnapshot | None:
        """Look now; what was seen last while the database is away, and None once the study was deleted."""
        began = time.monotonic()
        with contextlib.suppress(*_AWAY):
            self._watched = self._watched or watched(self._url, self._name)
            try:
                if self._watched is not None:
                    self._give_up(self._watched)
                    self.latest = self._watched.look() or self.latest
            except StudyDeletedError:
                self._forget()
            self.looked_at = began
        return self.latest

    def _forget(self) -> None:
        """Look for another study of that name from now on."""
        if self._watched is not None:
            self._watched.database.engine.dispose()
        self._watched = self.latest = None

    def give_up(self, pid: int) -> None:
        """Give up a process of this machine for lost, as soon as the database is there."""
        self._dead.put(pid)
        self._wake.set()

    def _give_up(self, watched: MonitoredStudy) -> None:
        while not self._dead.empty():
            self._unheard.append(self._dead.get())
        while self._unheard:
            watched.mark_lost(self._unheard[0])
            self._unheard.pop(0)

    @contextlib.contextmanager
    def resumed(self) -> Iterator[None]:
        """Look again and again until the end, and then once more."""
        thread = threading.Thread(target=self._go_on, name="looking", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            self._wake.set()
            thread.join(timeout=5.0)
            if not thread.is_alive():
                self.look()
            if self._watched is not None:
                self._watched.database.engine.dispose()

    def _go_on(self) -> None:
        while not self._over.is_set():
            self.look()
            self._wake.wait(self._seconds)
            self._wake.clear()
