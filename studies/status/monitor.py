"""Reads the trials and workers of a study, on all machines, again and again."""

import contextlib
import math
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from spaces.errors import SearchError
from studies.database import stored_trials
from studies.database.errors import DATABASE_ERRORS
from studies.database.identities import StudyDeletedError, require
from studies.database.lookup import StudyNotFoundError, open_study
from studies.database.lost_workers import mark_process_lost
from studies.database.open_study import OpenStudy
from studies.database.optuna_tables import FINISHED
from studies.database.study_control import read_control
from studies.database.workers import read_workers
from studies.outcome import LOST, Progress, WorkerInfo
from studies.study_folder import StudyRef

SECONDS_BETWEEN_READS = 1.0
LOST_IS_SHOWN_SECONDS = 60.0
_UNAVAILABLE = (*DATABASE_ERRORS, SearchError, RuntimeError, KeyError)
"""Errors of a database that is unreachable or does not exist yet."""


@dataclass(frozen=True)
class StudySnapshot:
    """A study at one moment.

    Args:
        progress: Progress towards the trial budget.
        workers: Workers that are alive or were lost recently.
        ended: Finished trials, in the order in which they finished.
        control: Control row of the study.
        identity: Identity of the study.
        age_seconds: Seconds since its first worker registered, on the database's clock.
    """

    progress: Progress
    workers: tuple[WorkerInfo, ...]
    ended: tuple[FrozenTrial, ...]
    control: Any
    identity: str = ""
    age_seconds: float = 0.0


def read_snapshot(study: OpenStudy) -> StudySnapshot | None:
    """Return the state of a study; None while no worker has written its control row.

    Raises:
        StudyDeletedError: The study has been deleted.
    """
    study.database.read(lambda connection: require(connection, study.study_id, study.identity))
    control = read_control(study.database, study.study_id)
    if control is None:
        return None
    finished = [trial for trial in study.study.get_trials(deepcopy=False) if trial.state in FINISHED]
    finished.sort(key=lambda trial: (trial.datetime_complete is None, trial.datetime_complete, trial.number))
    workers = study.database.read(lambda connection: read_workers(connection, study.study_id))
    return StudySnapshot(
        stored_trials.progress(study.study, control.trial_budget),
        tuple(worker for worker in workers if _is_shown(worker)),
        tuple(finished),
        control,
        study.identity,
        age_seconds=max((worker.age_seconds for worker in workers), default=0.0),
    )


def _is_shown(worker: WorkerInfo) -> bool:
    return worker.is_alive or (worker.state == LOST and worker.heartbeat_seconds < LOST_IS_SHOWN_SECONDS)


class StudyMonitor:
    """A thread that reads a study about once a second, and waits for a study that does not exist yet.

    It alone waits for a database that is unreachable; `latest` is always there at once.

    Args:
        url: URL of the database.
        name: Name of the study.
        seconds: Seconds between two reads.
    """

    def __init__(self, url: str, name: str, seconds: float = SECONDS_BETWEEN_READS) -> None:
        self._url, self._name, self._seconds = url, name, seconds
        self._study: OpenStudy | None = None
        self._dead: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._unmarked: list[int] = []
        self._wake, self._over = threading.Event(), threading.Event()
        self.latest: StudySnapshot | None = None
        self.last_read_at = -math.inf
        """Time at which the latest read began, on `time.monotonic`."""

    def refresh(self) -> StudySnapshot | None:
        """Read the study now; returns the last snapshot while the database is unreachable, None for a deleted study."""
        began = time.monotonic()
        with contextlib.suppress(*_UNAVAILABLE):
            self._study = self._study or self._open()
            try:
                if self._study is not None:
                    self._mark_dead(self._study)
                    self.latest = read_snapshot(self._study) or self.latest
            except StudyDeletedError:
                self._forget()
            self.last_read_at = began
        return self.latest

    def _open(self) -> OpenStudy | None:
        """Open the study; None while no worker has created it."""
        try:
            # The next read follows within a second, so that there is nothing to wait for.
            study = open_study(StudyRef(self._name, self._url, Path()), readonly=False, retry_timeout=0.0)
        except StudyNotFoundError:
            return None
        if study.created_by_search:
            return study
        study.database.engine.dispose()
        return None

    def _forget(self) -> None:
        """Wait for another study of that name from now on."""
        if self._study is not None:
            self._study.database.engine.dispose()
        self._study = self.latest = None

    def report_dead_process(self, pid: int) -> None:
        """Mark the worker of a dead process of this machine as lost, as soon as the database is reachable."""
        self._dead.put(pid)
        self._wake.set()

    def _mark_dead(self, study: OpenStudy) -> None:
        while not self._dead.empty():
            self._unmarked.append(self._dead.get())
        while self._unmarked:
            mark = partial(mark_process_lost, study_id=study.study_id, pid=self._unmarked[0])
            study.database.run(mark)
            self._unmarked.pop(0)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Read the study again and again within the block, and once more after it."""
        thread = threading.Thread(target=self._run, name="monitor", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            self._wake.set()
            thread.join(timeout=5.0)
            if not thread.is_alive():
                self.refresh()
            if self._study is not None:
                self._study.database.engine.dispose()

    def _run(self) -> None:
        while not self._over.is_set():
            self.refresh()
            self._wake.wait(self._seconds)
            self._wake.clear()
