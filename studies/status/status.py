"""How a study stands: its trials, its workers, how fast it goes, and how long it will take."""

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
    """How a study stands.

    Args:
        name: Its name.
        storage: Its database, without a password.
        made_by_search: Whether search created it; else nothing is known of workers.
        metric: What is compared, or empty if it is not known.
        direction: `maximize` or `minimize`.
        progress: Trials in all and by how they ended, the baseline and the best.
        running: Trials that are being evaluated.
        waiting: Trials that wait for a worker.
        workers: Every process that has worked on it, the first one first.
        trials_per_hour: How many trials end in an hour at the present pace; None when nobody is at work, or none ended.
        seconds_left: How long the other trials will take at this pace, or None.
        deadline_seconds: When the time limit ends it, in seconds from now, or None.
        device_hours: Hours that its workers used of their devices since it was last started, and those that they may
            use, or None.
        stop: Why its workers were asked to stop, or None.
        exporting: Host of the worker that exports the best trial, or None.
        exported: What was exported last: `trial`, `host`, `folder`; or None.
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
        """How many workers are in that state."""
        return sum(worker.state == state for worker in self.workers)


def read_status(found: OpenStudy) -> StudyStatus:
    """How a study stands now.

    Raises:
        StudyError: The database cannot be used.
    """
    with translate_errors(found.url):
        known = found.study.get_trials(deepcopy=False)
        workers = _workers(found)
        steering = _steering(found)
        wanted = steering.trial_budget if steering else len(known)
        progress = stored_trials.progress(found.study, wanted)
        names = [stored_trials.STATES[trial.state] for trial in known]
        pace = _pace(known, workers, steering.now) if steering else None
        return StudyStatus(
            name=found.name,
            storage=redact_url(found.url),
            made_by_search=found.created_by_search,
            metric=_metric(found.study.user_attrs.get(SPACE)),
            direction=found.study.direction.name.lower(),
            progress=progress,
            running=names.count(RUNNING),
            waiting=names.count(WAITING),
            workers=workers,
            trials_per_hour=pace,
            seconds_left=3600 * max(0, wanted - progress.done) / pace if pace else None,
            **(_steered(steering, workers) if steering else {}),
        )


def _workers(found: OpenStudy) -> tuple[WorkerInfo, ...]:
    if not found.created_by_search:
        return ()
    return found.database.read(lambda connection: read_workers(connection, found.study_id))


def _steering(found: OpenStudy) -> Any:
    """The row that steers a study, with the database's `now` and what its workers have `used`; or None."""
    if not found.created_by_search:
        return None
    columns = (STUDIES, database_seconds().label("now"), device_seconds(found.study_id).label("used"))
    query = sa.select(*columns).where(STUDIES.c.study_id == found.study_id)
    return found.database.read(lambda connection: connection.execute(query).one_or_none())


def _steered(row: Any, workers: Sequence[WorkerInfo]) -> dict[str, Any]:
    lives = any(worker.is_alive for worker in workers)
    used = (float(row.used) - row.device_seconds_at_start) / 3600
    exporter = {worker.worker_id: worker for worker in workers if worker.is_alive}.get(row.exporter_id)
    return {
        # The next start sets it anew.
        "deadline_seconds": float(row.deadline - row.now) if lives and row.deadline is not None else None,
        "device_hours": None if row.device_seconds_limit is None else (used, row.device_seconds_limit / 3600),
        "stop": StopReason.of_study(row.stop_reason),
        "exporting": exporter.host if exporter else None,
        "exported": row.export_info if isinstance(row.export_info, dict) else None,
    }


def _pace(known: Sequence[FrozenTrial], workers: Sequence[WorkerInfo], now: float) -> float | None:
    """Trials an hour: of the last ones that ended since the workers that are alive have been at work."""
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
    """The metric of a space as the study describes it: text, of which nothing is ever run."""
    try:
        metric = json.loads(space)["metric"]
    except (TypeError, ValueError, KeyError):
        return ""
    return metric if isinstance(metric, str) else ""
