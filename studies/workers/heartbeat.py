"""Heartbeat of a worker: a thread that marks lost workers, too, and applies the limits and stops of the study."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

from studies.database.errors import DATABASE_ERRORS
from studies.database.transactions import Database
from studies.database.workers import HEARTBEAT_SECONDS, WorkerActivity, WorkerRegistration, send_heartbeat
from studies.stop_request import StopReason, StopRequest

LOG = logging.getLogger(__name__)


@contextlib.contextmanager
def worker_session(
    database: Database,
    worker: WorkerRegistration,
    activity: WorkerActivity,
    stop: StopRequest,
    *,
    seconds: float = HEARTBEAT_SECONDS,
    parent_is_alive: Callable[[], bool] = lambda: True,
) -> Iterator[WorkerRegistration]:
    """Register a worker and send its heartbeats within the block, and deregister it after.

    Args:
        database: Database of the study.
        worker: This worker.
        activity: Its activity, as shown to others.
        stop: Receives the stops and the time limit of the study.
        seconds: Seconds between two heartbeats.
        parent_is_alive: Returns True while the process that started this one exists; without it this worker stops.
    """
    worker.register(database)

    def beat(database: Database) -> None:
        row = database.run(lambda connection: send_heartbeat(connection, worker, activity, is_stopping=stop.requested))
        activity.workers_alive = row.alive
        apply_control(row, stop)

    beat(database)
    over = threading.Event()
    # The thread must survive every outage without a long wait: the next heartbeat tries again.
    without_retries = Database(database.engine, retry_timeout=lambda: 0.0)

    def run() -> None:
        while not over.wait(seconds):
            try:
                beat(without_retries)
            except DATABASE_ERRORS as error:
                LOG.info("no heartbeat: %s", type(error).__name__)
            if not parent_is_alive():
                stop.request(StopReason.SIGTERM)

    thread = threading.Thread(target=run, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield worker
    finally:
        over.set()
        thread.join(timeout=5 * seconds)
        with contextlib.suppress(*DATABASE_ERRORS):
            worker.deregister(Database(database.engine, retry_timeout=lambda: 5.0))


def apply_control(study: Any, stop: StopRequest) -> None:
    """Pass the stop and the limits of a study, from the row that `send_heartbeat` returns, on to a stop request."""
    if reason := StopReason.of_study(study.stop_reason):
        stop.request(reason)
    stop.deadline = None if study.deadline is None else stop.clock() + study.deadline - study.now
    used = study.used - study.device_seconds_at_start
    stop.is_used_up = study.device_seconds_limit is not None and used >= study.device_seconds_limit
