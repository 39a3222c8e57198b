"""The rule for when a worker counts as lost; marking such workers and requeueing their trials."""

from collections.abc import Container, Sequence
from typing import Any

import sqlalchemy as sa
from optuna.trial import TrialState

from studies.database.identities import is_of_trial
from studies.database.local_process import is_gone, is_stopped, machine
from studies.database.optuna_tables import TRIALS
from studies.database.outages import MOST_MISSED_OUTAGES, notice_outage
from studies.database.retries import requeue_trial
from studies.database.tables import CLAIMS, STUDIES, WORKERS
from studies.database.transactions import database_seconds
from studies.outcome import ALIVE, LOST


def is_lost(now: Any = None) -> Any:
    """Return the SQL expression for "this worker is lost", the only rule for it.

    `now` is a time on the database's clock, in seconds; None is the time at which the expression is evaluated.
    """
    missed = sa.func.coalesce(_of_study(STUDIES.c.outages), 0) - WORKERS.c.outages
    is_silent = (_seconds_since_heartbeat(now) > WORKERS.c.lost_after_seconds) | (missed > MOST_MISSED_OUTAGES)
    return (WORKERS.c.state == LOST) | ((WORKERS.c.state == ALIVE) & is_silent)


def is_alive(now: Any = None) -> Any:
    """Return the SQL expression for "this worker is alive"; `now` as in `is_lost`."""
    return (WORKERS.c.state == ALIVE) & sa.not_(is_lost(now))


def _seconds_since_heartbeat(now: Any) -> Any:
    """Return the SQL expression for the seconds without a heartbeat during which the database was reachable.

    They count from the worker's last heartbeat, or from the end of the study's last outage if that is later.
    """
    outages, since = (_of_study(column) for column in (STUDIES.c.outages, STUDIES.c.reachable_since))
    counted_from = sa.case((WORKERS.c.outages == outages, WORKERS.c.heartbeat_at), else_=since)
    return (database_seconds() if now is None else now) - sa.func.coalesce(counted_from, WORKERS.c.heartbeat_at)


def _of_study(column: Any) -> Any:
    return sa.select(column).where(STUDIES.c.study_id == WORKERS.c.study_id).correlate(WORKERS).scalar_subquery()


def _missed_heartbeat(now: Any) -> Any:
    """Return the SQL expression for "no heartbeat came in time", for whatever reason."""
    return WORKERS.c.heartbeat_at < now - WORKERS.c.lost_after_seconds / 2


def mark_lost_workers(connection: sa.Connection, study_id: int, now: float | None = None) -> None:
    """Mark workers without a heartbeat as lost and requeue their trials.

    `now` is the time on the database's clock if this transaction has already called `notice_outage`; None calls it.
    """
    now = notice_outage(connection, study_id).now if now is None else now
    suspects = _suspects(connection, study_id, is_lost(now) | (WORKERS.c.machine == machine()), now)
    here = {row.worker_id: row for row in suspects if row.machine == machine() and row.process_start is not None}
    gone = {worker_id for worker_id, row in here.items() if is_gone(row.pid, row.process_start)}
    lost = {row.worker_id for row in suspects if row.is_lost}
    # A worker that was stopped (SIGSTOP) is not counted against its trial; one that hangs is.
    stopped = {worker_id for worker_id in here.keys() & lost - gone if is_stopped(here[worker_id].pid)}
    _mark_silent_workers(connection, now, [*{*lost, *gone}], blameless=stopped)


def mark_dead_workers(connection: sa.Connection, study_id: int) -> None:
    """Mark workers of this machine whose process has ended as lost, before their timeout."""
    now = database_seconds()
    suspects = _suspects(connection, study_id, WORKERS.c.machine == machine(), now)
    _mark_silent_workers(connection, now, [row.worker_id for row in suspects if is_gone(row.pid, row.process_start)])


def mark_process_lost(connection: sa.Connection, study_id: int, pid: int, on: str | None = None) -> None:
    """Mark the workers of a process that is known to be dead as lost, whenever their last heartbeat was.

    `on` is the machine of the process, as `local_process.machine` names it; None is this one.
    """
    of_process = (WORKERS.c.machine == (on or machine())) & (WORKERS.c.pid == pid) & (WORKERS.c.state == ALIVE)
    dead = sa.select(WORKERS.c.worker_id).where(WORKERS.c.study_id == study_id, of_process)
    for worker_id in connection.scalars(dead).all():
        end_worker(connection, worker_id, LOST)


def _suspects(connection: sa.Connection, study_id: int, which: Any, now: Any) -> list[Any]:
    """Return the workers that have missed a heartbeat or count as lost already."""
    columns = (WORKERS.c.worker_id, WORKERS.c.pid, WORKERS.c.machine, WORKERS.c.process_start)
    of_study = (WORKERS.c.study_id == study_id) & (WORKERS.c.state == ALIVE) & which
    query = sa.select(*columns, is_lost(now).label("is_lost")).where(of_study, is_lost(now) | _missed_heartbeat(now))
    return [*connection.execute(query).all()]


def _mark_silent_workers(
    connection: sa.Connection, now: Any, worker_ids: Sequence[str], blameless: Container[str] = ()
) -> None:
    """Mark workers as lost that still send no heartbeat, and requeue their trials.

    Rows that another transaction has locked are left to that transaction or to the next heartbeat, so that two
    transactions never wait for each other.
    """
    if not worker_ids:
        return
    still = (WORKERS.c.state == ALIVE) & (is_lost(now) | _missed_heartbeat(now))
    query = sa.select(WORKERS.c.worker_id).where(WORKERS.c.worker_id.in_(worker_ids), still)
    locked = connection.scalars(query.order_by(WORKERS.c.worker_id).with_for_update(skip_locked=True)).all()
    _requeue_trials(connection, locked, LOST, blameless, waits=False)


def end_worker(connection: sa.Connection, worker_id: str, state: str) -> None:
    """Mark a worker as `ended` or `lost`, and requeue its trial."""
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
    """Requeue the trials of workers whose rows are locked, and set the state of the workers that have no trial left.

    Every transaction locks a study, then workers, then claims, then trials, each of them ordered by key.
    """
    joined = sa.join(TRIALS, CLAIMS, is_of_trial())
    joined = sa.join(joined, WORKERS, WORKERS.c.worker_id == CLAIMS.c.worker_id)
    query = sa.select(CLAIMS.c.trial_id, CLAIMS.c.worker_id, WORKERS.c.is_stopping).select_from(joined)
    running = query.where(TRIALS.c.state == TrialState.RUNNING, CLAIMS.c.worker_id.in_(worker_ids))
    changes: dict[str, Any] = {worker_id: {} for worker_id in worker_ids}
    for trial_id, worker_id, is_stopping in connection.execute(running.order_by(CLAIMS.c.trial_id)).all():
        is_crash = state == LOST and not is_stopping and worker_id not in blameless
        requeued = requeue_trial(connection, trial_id, worker_id, is_crash=is_crash, waits=waits)
        if requeued is None and not waits:
            changes.pop(worker_id, None)
        elif requeued is not None and requeued.was_counted and worker_id in changes:
            changes[worker_id] = {"lost_trial_id": trial_id, "lost_epochs": requeued.epochs}
    for worker_id, columns in changes.items():
        row = sa.update(WORKERS).where(WORKERS.c.worker_id == worker_id)
        connection.execute(row.values(state=state, **columns))


def requeue_orphaned_trials(connection: sa.Connection, study_id: int) -> None:
    """Requeue running trials without a live worker: it has disappeared, or another program started the trial.

    Only one worker of the study may call this at a time.
    """
    joined = sa.outerjoin(TRIALS, CLAIMS, is_of_trial())
    joined = sa.outerjoin(joined, WORKERS, CLAIMS.c.worker_id == WORKERS.c.worker_id)
    orphaned = sa.or_(WORKERS.c.worker_id.is_(None), WORKERS.c.state != ALIVE)
    running = (TRIALS.c.study_id == study_id) & (TRIALS.c.state == TrialState.RUNNING)
    query = sa.select(TRIALS.c.trial_id, CLAIMS.c.worker_id).select_from(joined).where(running, orphaned)
    for trial_id, worker_id in connection.execute(query.order_by(TRIALS.c.trial_id)).all():
        requeue_trial(connection, trial_id, worker_id, is_crash=True)
