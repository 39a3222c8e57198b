"""The workers of a study: registration, heartbeat, and reading them."""

import os
import socket
import uuid
from dataclasses import dataclass, field, fields
from typing import Any

import sqlalchemy as sa

from studies.database.identities import require
from studies.database.local_process import machine, start_ticks
from studies.database.lost_workers import end_worker, is_alive, is_lost, mark_lost_workers
from studies.database.optuna_tables import FINISHED, TRIALS
from studies.database.outages import LOST_AFTER_SECONDS, notice_outage
from studies.database.retries import uncount_crash
from studies.database.tables import CLAIMS, STUDIES, WORKERS
from studies.database.transactions import Database, database_seconds
from studies.outcome import ALIVE, ENDED, LOST, Activity, WorkerInfo

HEARTBEAT_SECONDS = 2.0


@dataclass
class WorkerActivity:
    """Current activity of this worker; its training changes it, its heartbeat stores it.

    Args:
        activity: What it does.
        trial_number: Number of the trial, or None.
        epoch: Finished epochs of the trial.
        epochs: Maximum number of epochs of the trial.
        metric_value: Metric after the last epoch.
        workers_alive: Number of workers of the study, as of the last heartbeat.
    """

    activity: Activity = Activity.STARTING
    trial_number: int | None = None
    epoch: int | None = None
    epochs: int | None = None
    metric_value: float | None = None
    workers_alive: int = 1

    def show(self, activity: Activity, trial_number: int | None = None, epochs: int | None = None) -> None:
        """Show another activity, with the trial it is about."""
        self.activity, self.trial_number, self.epochs = activity, trial_number, epochs
        self.epoch = self.metric_value = None

    def columns(self) -> dict[str, Any]:
        """Return the columns of the workers table; a value that is not finite is left out."""
        value = self.metric_value if self.metric_value is not None and abs(self.metric_value) < float("inf") else None
        return {
            "activity": self.activity.value,
            "trial_number": self.trial_number,
            "epoch": self.epoch,
            "epochs": self.epochs,
            "metric_value": value,
        }


@dataclass(frozen=True)
class WorkerRegistration:
    """This process as a worker of a study.

    Args:
        study_id: Id of the study in the database.
        device: Device that it trains on, such as `GPU 0`.
        device_share: Fraction of that device: 0.5 where two workers share a GPU.
        lost_after_seconds: Seconds without a heartbeat after which it counts as lost.
        log: Path of its log file, or None.
        worker_id: Identifier that is unique across machines.
        identity: Identity of the study; None to join any study with that id.
    """

    study_id: int
    device: str
    device_share: float = 1.0
    lost_after_seconds: float = LOST_AFTER_SECONDS
    log: str | None = None
    worker_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    identity: str | None = None

    def register(self, database: Database) -> None:
        """Add this worker to the study.

        Raises:
            StudyDeletedError: The study has been deleted.
        """

        def insert(connection: sa.Connection) -> None:
            identity = require(connection, self.study_id, self.identity)
            if connection.scalar(sa.select(WORKERS.c.pid).where(WORKERS.c.worker_id == self.worker_id)) is None:
                outages = notice_outage(connection, self.study_id).outages
                connection.execute(sa.insert(WORKERS).values(identity=identity, outages=outages, **self._columns()))

        database.run(insert)

    def _columns(self) -> dict[str, Any]:
        return {
            "worker_id": self.worker_id,
            "study_id": self.study_id,
            "host": socket.gethostname()[:255],
            "pid": os.getpid(),
            "machine": machine(),
            "process_start": start_ticks(os.getpid()),
            "device": self.device[:255],
            "device_share": self.device_share,
            "started_at": database_seconds(),
            "heartbeat_at": database_seconds(),
            "lost_after_seconds": self.lost_after_seconds,
            "state": ALIVE,
            "is_stopping": False,
            "log": self.log,
            **WorkerActivity().columns(),
        }

    def deregister(self, database: Database) -> None:
        """Mark this worker as ended, and requeue a trial that it has not released."""
        database.run(lambda connection: end_worker(connection, self.worker_id, ENDED))


def send_heartbeat(
    connection: sa.Connection, worker: WorkerRegistration, activity: WorkerActivity, *, is_stopping: bool = False
) -> Any:
    """Store a worker's heartbeat and activity, mark other workers as lost, and read the study's control row.

    Returns:
        The control row, with the database's `now`, the `used` device seconds of all workers, and the number of workers
        that are `alive`.
    """
    now = record_heartbeat(connection, worker, **activity.columns() | {"is_stopping": is_stopping})
    _uncount_own_crash(connection, worker)
    mark_lost_workers(connection, worker.study_id, now)
    alive = sa.select(sa.func.count()).where(WORKERS.c.study_id == worker.study_id, is_alive(now))
    query = sa.select(STUDIES, database_seconds().label("now"), device_seconds(worker.study_id).label("used"))
    query = query.add_columns(alive.scalar_subquery().label("alive"))
    return connection.execute(query.where(STUDIES.c.study_id == worker.study_id)).one()


def record_heartbeat(connection: sa.Connection, worker: WorkerRegistration, **changes: Any) -> float:
    """Store a worker's heartbeat, even if it was marked as lost; returns the time on the database's clock."""
    check = notice_outage(connection, worker.study_id)
    row = sa.update(WORKERS).where(WORKERS.c.worker_id == worker.worker_id)
    connection.execute(row.values(heartbeat_at=database_seconds(), state=ALIVE, outages=check.outages, **changes))
    return check.now


def _uncount_own_crash(connection: sa.Connection, worker: WorkerRegistration) -> None:
    """Undo the crash that was counted while this worker was lost: it was suspended or cut off, the trial is fine."""
    own = WORKERS.c.worker_id == worker.worker_id
    query = sa.select(WORKERS.c.lost_trial_id, WORKERS.c.lost_epochs).where(own, WORKERS.c.lost_trial_id.is_not(None))
    counted = connection.execute(query).one_or_none()
    if counted is not None:
        uncount_crash(connection, *counted)
        connection.execute(sa.update(WORKERS).where(own).values(lost_trial_id=None, lost_epochs=None))


def device_seconds(study_id: int) -> Any:
    """Return a subquery for the device seconds that all workers of a study have used."""
    spent = (WORKERS.c.heartbeat_at - WORKERS.c.started_at) * WORKERS.c.device_share
    return sa.select(sa.func.coalesce(sa.func.sum(spent), 0.0)).where(WORKERS.c.study_id == study_id).scalar_subquery()


def count_alive(connection: sa.Connection, study_id: int) -> int:
    """Return the number of workers of a study that are alive."""
    return connection.scalar(sa.select(sa.func.count()).where(WORKERS.c.study_id == study_id, is_alive())) or 0


def read_workers(connection: sa.Connection, study_id: int) -> tuple[WorkerInfo, ...]:
    """Return all workers that a study has had, in the order of their registration."""
    joined = sa.join(CLAIMS, TRIALS, CLAIMS.c.trial_id == TRIALS.c.trial_id)
    count = sa.select(CLAIMS.c.worker_id, sa.func.count()).select_from(joined)
    finished = count.where(CLAIMS.c.study_id == study_id, TRIALS.c.state.in_(FINISHED)).group_by(CLAIMS.c.worker_id)
    counts: dict[str, int] = {worker_id: trials for worker_id, trials in connection.execute(finished)}
    query = sa.select(WORKERS, database_seconds().label("now"), is_lost().label("is_lost"))
    rows = connection.execute(query.where(WORKERS.c.study_id == study_id).order_by(WORKERS.c.started_at)).all()
    return tuple(_info(row, counts.get(row.worker_id, 0)) for row in rows)


def _info(row: Any, finished_trials: int) -> WorkerInfo:
    state = LOST if row.is_lost else row.state
    until = float(row.now) if state == ALIVE else row.heartbeat_at
    stored = {field.name: row._mapping[field.name] for field in fields(WorkerInfo) if field.name in WORKERS.c}
    computed = {
        "state": state,
        "heartbeat_seconds": max(0.0, float(row.now) - row.heartbeat_at),
        "running_seconds": max(0.0, until - row.started_at),
        "finished_trials": finished_trials,
    }
    return WorkerInfo(**stored | computed)
