"""Reads the status of a study: trials, workers, throughput and remaining time."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from optuna.trial import FrozenTrial

from studies.database import stored_trials
from studies.database.errors import translate_errors
from studies.database.open_study import SPACE, OpenStudy
from studies.database.optuna_tables import as_utc_seconds
from studies.database.tables import STUDIES
from studies.database.transactions import database_seconds
from studies.database.urls import redact_url
from studies.database.workers import device_seconds, read_workers
from studies.outcome import RUNNING, WAITING, Progress, WorkerInfo
from studies.stop_request import StopReason

RECENT_TRIALS = 30


@dataclass(frozen=True)
class StudyStatus:
    """Status of a study.

    Args:
        name: Name of the study.
        storage: URL of its database, without a password.
        made_by_search: Whether search created it; otherwise its workers are unknown.
        metric: Metric that is compared; empty if unknown.
        direction: `maximize` or `minimize`.
        progress: Trial budget, finished trials by state, baseline and best trial.
        running: Number of running trials.
        waiting: Number of waiting trials.
        workers: Every worker that the study has had, in the order of registration.
        trials_per_hour: Current throughput; None without live workers or recently finished trials.
        seconds_left: Estimated seconds for the remaining trials at this throughput, or None.
        deadline_seconds: Seconds until the time limit, or None.
        device_hours: Device hours used since the last start and their limit; None without a limit.
        stop: Why its workers were asked to stop, or None.
        exporting: Host of the worker that exports the best trial, or None.
        exported: Last export: `trial`, `host` and `folder`; or None.
    """

    name: str
    storage: str
    made_by_search: bool
    metric: str
    direction: str
    progress: Progress
    running: int
    waiting: int
    workers: tuple[WorkerInfo, ...] = ()
    trials_per_hour: float | None = None
    seconds_left: float | None = None
    deadline_seconds: float | None = None
    device_hours: tuple[float, float] | None = None
    stop: StopReason | None = None
    exporting: str | None = None
    exported: Mapping[str, Any] | None = None

    def count(self, state: str) -> int:
        """Return the number of workers in a state."""
        return sum(worker.state == state for worker in self.workers)


def read_status(study: OpenStudy) -> StudyStatus:
    """Return the current status of a study.

    Raises:
        StudyError: The database cannot be used.
    """
    with translate_errors(study.url):
        known = study.study.get_trials(deepcopy=False)
        workers = _workers(study)
        control = _read_control(study)
        trial_budget = control.trial_budget if control else len(known)
        progress = stored_trials.progress(study.study, trial_budget)
        names = [stored_trials.STATES[trial.state] for trial in known]
        throughput = _throughput(known, workers, control.now) if control else None
        return StudyStatus(
            name=study.name,
            storage=redact_url(study.url),
            made_by_search=study.created_by_search,
            metric=_metric(study.study.user_attrs.get(SPACE)),
            direction=study.study.direction.name.lower(),
            progress=progress,
            running=names.count(RUNNING),
            waiting=names.count(WAITING),
            workers=workers,
            trials_per_hour=throughput,
            seconds_left=3600 * max(0, trial_budget - progress.done) / throughput if throughput else None,
            **(_control_fields(control, workers) if control else {}),
        )


def _workers(study: OpenStudy) -> tuple[WorkerInfo, ...]:
    if not study.created_by_search:
        return ()
    return study.database.read(lambda connection: read_workers(connection, study.study_id))


def _read_control(study: OpenStudy) -> Any:
    """Return the control row with the database's `now` and the `used` device seconds, or None."""
    if not study.created_by_search:
        return None
    columns = (STUDIES, database_seconds().label("now"), device_seconds(study.study_id).label("used"))
    query = sa.select(*columns).where(STUDIES.c.study_id == study.study_id)
    return study.database.read(lambda connection: connection.execute(query).one_or_none())


def _control_fields(row: Any, workers: Sequence[WorkerInfo]) -> dict[str, Any]:
    is_running = any(worker.is_alive for worker in workers)
    used = (float(row.used) - row.device_seconds_at_start) / 3600
    exporter = {worker.worker_id: worker for worker in workers if worker.is_alive}.get(row.exporter_id)
    return {
        # The next start sets another one.
        "deadline_seconds": float(row.deadline - row.now) if is_running and row.deadline is not None else None,
        "device_hours": None if row.device_seconds_limit is None else (used, row.device_seconds_limit / 3600),
        "stop": StopReason.of_study(row.stop_reason),
        "exporting": exporter.host if exporter else None,
        "exported": row.export_info if isinstance(row.export_info, dict) else None,
    }


def _throughput(known: Sequence[FrozenTrial], workers: Sequence[WorkerInfo], now: float) -> float | None:
    """Return the trials per hour, from the trials that finished while the live workers were running."""
    alive = [worker.running_seconds for worker in workers if worker.is_alive]
    since = now - max(alive, default=0.0)
    ended = sorted(as_utc_seconds(trial.datetime_complete) for trial in known if trial.datetime_complete)
    recent = [moment for moment in ended if moment >= since]
    if len(recent) > RECENT_TRIALS:
        since, recent = recent[-RECENT_TRIALS - 1], recent[-RECENT_TRIALS:]
    if not alive or not recent:
        return None
    return 3600 * len(recent) / max(1.0, now - since)


def _metric(space: Any) -> str:
    """Return the metric of a stored space; the text is parsed, never executed."""
    try:
        metric = json.loads(space)["metric"]
    except (TypeError, ValueError, KeyError):
        return ""
    return metric if isinstance(metric, str) else ""
