"""The workers of a study: who is alive, what each one does, and whom to give up for lost."""

import os
import socket
import uuid
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from optuna.trial import TrialState

from studies.database.identities import is_of_trial, require
from studies.database.local_process import is_gone, is_stopped, machine, start_ticks
from studies.database.optuna_tables import TRIALS
from studies.database.outages import LOST_AFTER_SECONDS, MOST_MISSED_OUTAGES, notice_outage
from studies.database.retries import requeue_trial, uncount_crash
from studies.database.tables import CLAIMS, STUDIES, WORKERS
from studies.database.transactions import Database, database_seconds

ALIVE, ENDED, LOST = "alive", "ended", "lost"
HEARTBEAT_SECONDS = 2.0


@dataclass
class WorkerActivity:
    """What a worker is doing now; its training changes it, its heartbeat stores it.

    Args:
        doing: In words.
        trial: Number of the trial, or None.
        epoch: Epochs of it that have ended.
        epochs: Most epochs of it.
        value: Its metric after the last epoch.
        workers_alive: How many workers share the study, as the last heartbeat found.
    """

    activity: str = "starting"
    trial_number: int | None = None
    epoch: int | None = None
    epochs: int | None = None
    metric_value: float | None = None
    workers_alive: int = 1

    def columns(self) -> dict[str, Any]:
        """For the table of workers; a value that is not finite is left out."""
        value = self.metric_value if self.metric_value is not None and abs(self.metric_value) < float("inf") else None
        return {
            "activity": self.activity[:200],
            "trial_number": self.trial_number,
            "epoch": self.epoch,
            "epochs": self.epochs,
            "metric_value": value,
        }


@dataclass(frozen=True)
class WorkerRegistration:
    """This process as a worker of a study.

    Args:
        study_id: The study in the database.
        device: What it trains on, in words.
        device_share: Its part of that device: 0.5 where two workers share a GPU.
        lost_after_seconds: Silence after which others give it up for lost.
        log: Its log file, or None.
        worker_id: Unique over all machines.
        identity: Identity of the study; None to join whatever study has that id.
    """

    study_id: int
    device: str
    device_share: float = 1.0
    lost_after_seconds: float = LOST_AFTER_SECONDS
    log: str | None = None
    worker_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    identity: str | None = None

    def register(self, database: Database) -> None:
        """Enter the study's workers.

        Raises:
            StudyDeleted: The study is gone.
        """

        def enter(connection: sa.Connection) -> None:
            identity = require(connection, self.study_id, self.identity)
            if connection.scalar(sa.select(WORKERS.c.pid).where(WORKERS.c.worker_id == self.worker_id)) is None:
                outages = notice_outage(connection, self.study_id).outages
                connection.execute(sa.insert(WORKERS).values(identity=identity, outages=outages, **self._columns()))

        database.run(enter)

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
        """Leave the study's workers; a trial that was not handed back waits for another worker."""
        database.run(lambda connection: end_worker(connection, self.worker_id, ENDED))


def seconds_since_heartbeat(now: Any = None) -> Any:
    """The time for which a worker was not heard while the database could be reached, as an SQL expression.

    It is counted on the database's clock, from the worker's last heartbeat or from the end of the study's last outage.

    Args:
        now: A reading of that clock, or None for the time at which the expression is evaluated.
    """
    outages, since = (_of_study(column) for column in (STUDIES.c.outages, STUDIES.c.reachable_since))
    heard_at = sa.case((WORKERS.c.outages == outages, WORKERS.c.heartbeat_at), else_=since)
    return (database_seconds() if now is None else now) - sa.func.coalesce(heard_at, WORKERS.c.heartbeat_at)


def is_lost(now: Any = None) -> Any:
    """Whether a worker that has not left counts as lost, as an SQL expression: the one rule for all who ask."""
    missed = sa.func.coalesce(_of_study(STUDIES.c.outages), 0) - WORKERS.c.outages
    is_silent = (seconds_since_heartbeat(now) > WORKERS.c.lost_after_seconds) | (missed > MOST_MISSED_OUTAGES)
    return (WORKERS.c.state == LOST) | ((WORKERS.c.state == ALIVE) & is_silent)


def is_alive() -> Any:
    """Whether a worker is at work, as an SQL expression."""
    return (WORKERS.c.state == ALIVE) & sa.not_(is_lost())


def _of_study(column: Any) -> Any:
    return sa.select(column).where(STUDIES.c.study_id == WORKERS.c.study_id).correlate(WORKERS).scalar_subquery()


def _missed_a_heartbeat(now: Any) -> Any:
    """Whether a worker was not heard when it should have been, for whatever reason, as an SQL expression."""
    return WORKERS.c.heartbeat_at < now - WORKERS.c.lost_after_seconds / 2


def send_heartbeat(
    connection: sa.Connection, member: WorkerRegistration, activity: WorkerActivity, *, is_ending: bool = False
) -> Any:
    """Say that a worker lives, give up others for lost, and read how the study is steered.

    Returns:
        The study's row, with the database's `now`, what its workers have `used` of their devices in seconds, and how
        many are `alive`.
    """
    now = record_heartbeat(connection, member, **activity.columns() | {"is_stopping": is_ending})
    _forgive_return(connection, member)
    _mark_lost(connection, member.study_id, now)
    used = device_seconds(member.study_id)
    alive = sa.select(sa.func.count()).where(WORKERS.c.study_id == member.study_id, WORKERS.c.state == ALIVE)
    query = sa.select(STUDIES, database_seconds().label("now"), used.label("used"))
    query = query.add_columns(alive.scalar_subquery().label("alive"))
    return connection.execute(query.where(STUDIES.c.study_id == member.study_id)).one()


def record_heartbeat(connection: sa.Connection, member: WorkerRegistration, **changes: Any) -> float:
    """Note that a worker lives, even if it had been given up for lost; returns the time by the database's clock."""
    look = notice_outage(connection, member.study_id)
    row = sa.update(WORKERS).where(WORKERS.c.worker_id == member.worker_id)
    connection.execute(row.values(heartbeat_at=database_seconds(), state=ALIVE, outages=look.outages, **changes))
    return look.now


def _forgive_return(connection: sa.Connection, member: WorkerRegistration) -> None:
    """Take back that a worker was counted as lost with a trial, which is not to blame: it was suspended or cut off."""
    mine = WORKERS.c.worker_id == member.worker_id
    query = sa.select(WORKERS.c.lost_trial_id, WORKERS.c.lost_epochs).where(mine, WORKERS.c.lost_trial_id.is_not(None))
    counted = connection.execute(query).one_or_none()
    if counted is not None:
        uncount_crash(connection, *counted)
        connection.execute(sa.update(WORKERS).where(mine).values(lost_trial_id=None, lost_epochs=None))


def device_seconds(study_id: int) -> Any:
    """What the workers of a study have used of their devices, in seconds, as a subquery."""
    spent = (WORKERS.c.heartbeat_at - WORKERS.c.started_at) * WORKERS.c.device_share
    return sa.select(sa.func.coalesce(sa.func.sum(spent), 0.0)).where(WORKERS.c.study_id == study_id).scalar_subquery()


def mark_lost_workers(connection: sa.Connection, study_id: int) -> None:
    """Mark the workers that were silent for too long as lost, and let their trials wait for others.

    An outage that has just ended is noticed first.
    """
    _mark_lost(connection, study_id, notice_outage(connection, study_id).now)


def mark_dead_workers(connection: sa.Connection, study_id: int) -> None:
    """Mark the workers as lost whose processes on this machine have ended, without waiting for their timeout."""
    now = database_seconds()
    suspects = _suspects(connection, study_id, WORKERS.c.machine == machine(), now)
    _end_workers(connection, now, [row.worker_id for row in suspects if is_gone(row.pid, row.process_start)])


def _mark_lost(connection: sa.Connection, study_id: int, now: float) -> None:
    suspects = _suspects(connection, study_id, is_lost(now) | (WORKERS.c.machine == machine()), now)
    here = {row.worker_id: row for row in suspects if row.machine == machine() and row.process_start is not None}
    gone = {worker_id for worker_id, row in here.items() if is_gone(row.pid, row.process_start)}
    lost = {row.worker_id for row in suspects if row.is_lost}
    # A worker that was stopped (SIGSTOP) is not counted against its trial; one that hangs is.
    stopped = {worker_id for worker_id in here.keys() & lost - gone if is_stopped(here[worker_id].pid)}
    _end_workers(connection, now, [*{*lost, *gone}], blameless=stopped)


def _suspects(connection: sa.Connection, study_id: int, which: Any, now: Any) -> list[Any]:
    """The workers that have missed a heartbeat, or for which it does not count any more."""
    columns = (WORKERS.c.worker_id, WORKERS.c.pid, WORKERS.c.machine, WORKERS.c.process_start)
    of_study = (WORKERS.c.study_id == study_id) & (WORKERS.c.state == ALIVE) & which
    query = sa.select(*columns, is_lost(now).label("is_lost")).where(of_study, is_lost(now) | _missed_a_heartbeat(now))
    return [*connection.execute(query).all()]


def _end_workers(
    connection: sa.Connection, now: Any, worker_ids: Sequence[str], blameless: Container[str] = ()
) -> None:
    """Mark workers as lost that are still silent, and let their trials wait for others.

    What another transaction has locked is left to it, or to the next heartbeat: it never waits for one that waits for
    this one.
    """
    if not worker_ids:
        return
    still = (WORKERS.c.state == ALIVE) & (is_lost(now) | _missed_a_heartbeat(now))
    query = sa.select(WORKERS.c.worker_id).where(WORKERS.c.worker_id.in_(worker_ids), still)
    locked = connection.scalars(query.order_by(WORKERS.c.worker_id).with_for_update(skip_locked=True)).all()
    _requeue_trials(connection, locked, LOST, blameless, waits=False)


def end_worker(connection: sa.Connection, worker_id: str, state: str) -> None:
    """Mark a worker as ended or lost, and let its trial wait for others.

    Args:
        connection: Inside a transaction.
        worker_id: The worker.
        state: `ended` or `lost`.
    """
    query = sa.select(WORKERS.c.worker_id).where(WORKERS.c.worker_id == worker_id, WORKERS.c.state == ALIVE)
    _requeue_trials(connection, connection.scalars(query.with_for_update()).all(), state)


def _requeue_trials(
    connection: sa.Connection,
    worker_ids: Sequence[str],
    state: str,
    blameless: Container[str] = (),
    *,
    waits: bool = True,
) -> None:
    """Let the trials of workers wait whose rows are locked, and mark those as retired of which no trial is left.

    Every transaction locks a study, then workers, then claims, then trials, each kind by its key.
    """
    joined = sa.join(TRIALS, CLAIMS, is_of_trial())
    joined = sa.join(joined, WORKERS, WORKERS.c.worker_id == CLAIMS.c.worker_id)
    query = sa.select(CLAIMS.c.trial_id, CLAIMS.c.worker_id, WORKERS.c.is_stopping).select_from(joined)
    running = query.where(TRIALS.c.state == TrialState.RUNNING, CLAIMS.c.worker_id.in_(worker_ids))
    counted: dict[str, Any] = {worker_id: {} for worker_id in worker_ids}
    for trial_id, worker_id, is_stopping in connection.execute(running.order_by(CLAIMS.c.trial_id)).all():
        is_loss = state == LOST and not is_stopping and worker_id not in blameless
        requeued = requeue_trial(connection, trial_id, worker_id, is_loss=is_loss, waits=waits)
        if requeued is None and not waits:
            counted.pop(worker_id, None)
        elif requeued is not None and requeued.was_counted and worker_id in counted:
            counted[worker_id] = {"lost_trial_id": trial_id, "lost_epochs": requeued.epochs}
    for worker_id, columns in counted.items():
        row = sa.update(WORKERS).where(WORKERS.c.worker_id == worker_id)
        connection.execute(row.values(state=state, **columns))


def requeue_orphaned_trials(connection: sa.Connection, study_id: int) -> None:
    """Let trials wait that run without a worker who lives: it left without a word, or never was one of ours.

    To be called by one worker of the study at a time.
    """
    joined = sa.outerjoin(TRIALS, CLAIMS, is_of_trial())
    joined = sa.outerjoin(joined, WORKERS, CLAIMS.c.worker_id == WORKERS.c.worker_id)
    ownerless = sa.or_(WORKERS.c.worker_id.is_(None), WORKERS.c.state != ALIVE)
    running = (TRIALS.c.study_id == study_id) & (TRIALS.c.state == TrialState.RUNNING)
    query = sa.select(TRIALS.c.trial_id, CLAIMS.c.worker_id).select_from(joined).where(running, ownerless)
    for trial_id, worker_id in connection.execute(query.order_by(TRIALS.c.trial_id)).all():
        requeue_trial(connection, trial_id, worker_id, is_loss=True)
