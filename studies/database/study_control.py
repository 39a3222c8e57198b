"""Controls a study across all its workers: limits, stop requests, and which worker exports the best trial."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from studies.database.identities import StudyDeletedError, is_employed
from studies.database.local_process import process_age
from studies.database.lost_workers import mark_dead_workers, mark_lost_workers
from studies.database.optuna_tables import FINISHED, TRIALS
from studies.database.tables import STUDIES, WORKERS
from studies.database.transactions import Database, database_seconds, upsert
from studies.database.workers import count_alive, device_seconds
from studies.outcome import ALIVE
from studies.settings import MAX_TRIALS
from studies.stop_request import StopReason


@dataclass(frozen=True)
class Limits:
    """Limits of a study, for all its workers together.

    Args:
        trials: Maximum number of trials.
        timeout_seconds: Time limit in seconds from the start of the first worker; None for no limit.
        device_seconds: Limit of the device seconds of all workers from that start on; None for no limit.
    """

    trials: int
    timeout_seconds: float | None = None
    device_seconds: float | None = None


def set_limits(
    database: Database,
    study_id: int,
    limits: Limits,
    *,
    is_restart: bool = False,
    age_seconds: Callable[[], float] = process_age,
) -> StopReason | None:
    """Set the limits of a study. Return why it was stopped after the command was started; None if it was not.

    While workers are running, a worker that joins can only raise the number of trials; the time limit stays. The first
    worker after a pause sets all limits and clears an earlier stop request. A worker whose command was started before
    that request does not clear it: it was still starting, and stops like the others. Both times are compared as ages
    on the database's clock, so that the clocks of the machines do not matter.

    Args:
        database: The database.
        study_id: The study.
        limits: The limits.
        is_restart: Whether this worker replaces a process, so that there was no pause even if no worker is running.
        age_seconds: Returns the seconds since the worker's command was started; by default the age of this process.
    """

    def work(connection: sa.Connection) -> StopReason | None:
        connection.execute(sa.select(STUDIES.c.trial_budget).where(STUDIES.c.study_id == study_id).with_for_update())
        mark_dead_workers(connection, study_id)
        before = connection.execute(sa.select(STUDIES).where(STUDIES.c.study_id == study_id)).one_or_none()
        age = age_seconds()
        now, used = connection.execute(sa.select(database_seconds(), device_seconds(study_id))).one()
        stop = None
        if before is not None and before.stopped_at is not None and before.stopped_at > float(now) - age:
            stop = StopReason.of_study(before.stop_reason) or StopReason.STUDY_STOPPED
        if before is not None and (is_restart or count_alive(connection, study_id)):
            more = max(before.trial_budget, limits.trials)
            connection.execute(sa.update(STUDIES).where(STUDIES.c.study_id == study_id).values(trial_budget=more))
            return stop
        ended = sa.select(sa.func.count()).where(TRIALS.c.study_id == study_id, TRIALS.c.state.in_(FINISHED))
        row = {
            "study_id": study_id,
            "trial_budget": max(limits.trials, connection.scalar(ended) or 0),
            "deadline": None if limits.timeout_seconds is None else float(now) + limits.timeout_seconds,
            "device_seconds_limit": limits.device_seconds,
            "device_seconds_at_start": float(used),
            "stop_reason": stop,
        }
        upsert(connection, STUDIES, [row], keys=("study_id",))
        return stop

    return database.run(work)


def request_stop(database: Database, study_id: int) -> int:
    """Ask all workers of a study to stop, including those still starting; returns the number of live workers."""

    def work(connection: sa.Connection) -> int:
        change = sa.update(STUDIES).where(STUDIES.c.study_id == study_id)
        connection.execute(change.values(stop_reason=StopReason.STUDY_STOPPED, stopped_at=database_seconds()))
        mark_dead_workers(connection, study_id)
        return count_alive(connection, study_id)

    return database.run(work)


def extend_budget(database: Database, study_id: int, more: int) -> int:
    """Raise the trial budget of a study; returns the new budget."""

    def work(connection: sa.Connection) -> int:
        row = sa.select(STUDIES.c.trial_budget).where(STUDIES.c.study_id == study_id).with_for_update()
        trials = min((connection.scalar(row) or 0) + more, MAX_TRIALS)
        connection.execute(sa.update(STUDIES).where(STUDIES.c.study_id == study_id).values(trial_budget=trials))
        return trials

    return database.run(work)


def read_control(database: Database, study_id: int) -> Any:
    """Return the control row of a study, or None."""
    query = sa.select(STUDIES).where(STUDIES.c.study_id == study_id)
    return database.read(lambda connection: connection.execute(query).one_or_none())


@dataclass(frozen=True)
class ExportClaim:
    """The export lock: one worker exports the best trial, until another one claims it.

    Args:
        study_id: Id of the study in the database.
        worker_id: The worker.
        attempt: Number of the claim, counted per study.
    """

    study_id: int
    worker_id: str
    attempt: int


def claim_export(database: Database, study_id: int, worker_id: str) -> ExportClaim | None:
    """Claim the export of the best trial for this worker; None while another live worker has it.

    Raises:
        StudyDeletedError: The study has been deleted.
    """

    def work(connection: sa.Connection) -> ExportClaim | None:
        query = sa.select(STUDIES.c.exporter_id, STUDIES.c.export_attempt).where(STUDIES.c.study_id == study_id)
        row = connection.execute(query.where(is_employed(worker_id)).with_for_update()).one_or_none()
        if row is None:
            raise StudyDeletedError
        mark_lost_workers(connection, study_id)
        state = connection.scalar(sa.select(WORKERS.c.state).where(WORKERS.c.worker_id == row.exporter_id))
        if row.exporter_id not in (None, worker_id) and state == ALIVE:
            return None
        claim = ExportClaim(study_id, worker_id, row.export_attempt + 1)
        change = sa.update(STUDIES).where(STUDIES.c.study_id == study_id)
        connection.execute(change.values(exporter_id=worker_id, export_attempt=claim.attempt))
        return claim

    return database.run(work)


def exporter_heartbeat(database: Database, study_id: int) -> float | None:
    """Return the last heartbeat of the exporting worker, in seconds on the database's clock; None without one."""
    joined = sa.join(STUDIES, WORKERS, STUDIES.c.exporter_id == WORKERS.c.worker_id)
    query = sa.select(WORKERS.c.heartbeat_at).select_from(joined).where(STUDIES.c.study_id == study_id)
    return database.read(lambda connection: connection.scalar(query))


def release_export(
    database: Database,
    claim: ExportClaim,
    exported: Mapping[str, Any] | None = None,
    swap: Callable[[], None] = lambda: None,
) -> bool:
    """Record the end of an export, None for nothing; returns False if another worker has claimed it since.

    `swap` moves the export into place. It is called while no other worker can claim the export, and again if the answer
    of the database is lost.
    """
    changes: dict[str, Any] = {"exporter_id": None}
    if exported is not None:
        changes["export_info"] = dict(exported)
    tries = itertools.count()

    def work(connection: sa.Connection) -> bool:
        row = (STUDIES.c.study_id == claim.study_id) & (STUDIES.c.export_attempt == claim.attempt)
        is_ours = STUDIES.c.exporter_id == claim.worker_id
        if next(tries):
            # An earlier try may have been committed.
            is_ours |= STUDIES.c.exporter_id.is_(None)
        held = sa.select(STUDIES.c.study_id).where(row, is_ours, is_employed(claim.worker_id))
        if connection.scalar(held.with_for_update()) is None:
            return False
        swap()
        connection.execute(sa.update(STUDIES).where(row).values(changes))
        return True

    return database.run(work)
