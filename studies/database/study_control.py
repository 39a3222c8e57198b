"""How a study is steered from anywhere: how many trials, until when, whether to end, and who exports its best trial."""

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
    """What bounds a study over all its workers.

    Args:
        trials: Trials in all.
        timeout_seconds: When it ends, counted from the start of the first of its workers; None for no limit.
        device_seconds: What its workers may use of their devices together from that start on, or None.
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
    """Set the limits of a study.

    While others work on it, a worker that joins them can only extend it: more trials count, and the time limit that is
    running stays. The first worker after a pause sets all of them, and clears an earlier request to stop;
    finished trials stay. A worker whose command was started before that request does not clear it: it was still
    starting then, and stops like the others. Only how long ago that was is compared,
    on the database's clock, so that the clocks of the machines do not matter.

    Args:
        database: The database.
        study_id: The study.
        limits: The limits.
        goes_on: There was no pause, although nobody works on it at this moment: a process is being replaced.
        age_seconds: Returns the seconds since the command of this worker was started; that of this process by default.

    Returns:
        Why the study was stopped after the command was started; None if it was not.
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
    """Ask all workers of a study to end, also those that are still starting; returns how many are alive."""

    def work(connection: sa.Connection) -> int:
        change = sa.update(STUDIES).where(STUDIES.c.study_id == study_id)
        connection.execute(change.values(stop_reason=StopReason.STUDY_STOPPED, stopped_at=database_seconds()))
        mark_dead_workers(connection, study_id)
        return count_alive(connection, study_id)

    return database.run(work)


def extend_budget(database: Database, study_id: int, more: int) -> int:
    """Let a study have so many trials more; returns how many it has then in all."""

    def work(connection: sa.Connection) -> int:
        row = sa.select(STUDIES.c.trial_budget).where(STUDIES.c.study_id == study_id).with_for_update()
        trials = min((connection.scalar(row) or 0) + more, MAX_TRIALS)
        connection.execute(sa.update(STUDIES).where(STUDIES.c.study_id == study_id).values(trial_budget=trials))
        return trials

    return database.run(work)


def read_control(database: Database, study_id: int) -> Any:
    """The row that steers a study, or None."""
    query = sa.select(STUDIES).where(STUDIES.c.study_id == study_id)
    return database.read(lambda connection: connection.execute(query).one_or_none())


@dataclass(frozen=True)
class ExportClaim:
    """The right of one worker to export the best trial, until another one claims it.

    Args:
        study_id: The study in the database.
        worker_id: The worker.
        attempt: Counts the claims of the study's export.
    """

    study_id: int
    worker_id: str
    attempt: int


def claim_export(database: Database, study_id: int, worker_id: str) -> ExportClaim | None:
    """Claim the export of the best trial for this worker; None while another one that lives has it.

    Raises:
        StudyDeleted: The study is gone.
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
    """The last sign of life of whoever exports, in seconds on the database's clock; None if nobody does."""
    joined = sa.join(STUDIES, WORKERS, STUDIES.c.exporter_id == WORKERS.c.worker_id)
    query = sa.select(WORKERS.c.heartbeat_at).select_from(joined).where(STUDIES.c.study_id == study_id)
    return database.read(lambda connection: connection.scalar(query))


def release_export(
    database: Database,
    claim: ExportClaim,
    exported: Mapping[str, Any] | None = None,
    swap: Callable[[], None] = lambda: None,
) -> bool:
    """Record that an export has ended, unless another worker has claimed it since; returns whether it was recorded.

    Args:
        database: The database.
        claim: The claim of the worker that exports.
        exported: What was exported and where, or None if nothing was.
        swap: Puts the export in place. It is called while nobody can claim the export, and again where the answer of
            the database got lost.
    """
    changes: dict[str, Any] = {"exporter_id": None}
    if exported is not None:
        changes["export_info"] = dict(exported)
    tries = itertools.count()

    def work(connection: sa.Connection) -> bool:
        row = (STUDIES.c.study_id == claim.study_id) & (STUDIES.c.export_attempt == claim.attempt)
        is_ours = STUDIES.c.exporter_id == claim.worker_id
        if next(tries):
            # The first try may have been committed.
            is_ours |= STUDIES.c.exporter_id.is_(None)
        held = sa.select(STUDIES.c.study_id).where(row, is_ours, is_employed(claim.worker_id))
        if connection.scalar(held.with_for_update()) is None:
            return False
        swap()
        connection.execute(sa.update(STUDIES).where(row).values(changes))
        return True

    return database.run(work)
