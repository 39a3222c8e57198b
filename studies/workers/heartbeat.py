"""The thread that says that a worker lives, looks after the others, and hears when the study is to end."""

import contextlib
import logging
import os
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
    member: WorkerRegistration,
    activity: WorkerActivity,
    stop: StopRequest,
    *,
    seconds: float = HEARTBEAT_SECONDS,
    parent_lives: Callable[[], bool] = lambda: True,
) -> Iterator[WorkerRegistration]:
    """Be a worker of the study: joined before, and left after, whatever happens in between.

    Args:
        database: The study's database.
        member: This worker.
        activity: What it does, as shown to others.
        stop: Is asked to end when the study is to end, and given the study's time limit.
        seconds: Between two heartbeats.
        parent_lives: Whether the process that started this one is still there; without it this one ends in good order.
    """
    member.register(database)

    def beat_once(database: Database) -> None:
        row = database.run(lambda connection: send_heartbeat(connection, member, activity, is_stopping=stop.requested))
        activity.workers_alive = row.alive
        apply_control(row, stop)

    beat_once(database)
    over = threading.Event()
    # Its failures must never end it, and it must not wait long: the next beat tries again.
    impatient = Database(database.engine, retry_timeout=lambda: 0.0)

    def go_on() -> None:
        while not over.wait(seconds):
            try:
                beat_once(impatient)
            except DATABASE_ERRORS as error:
                LOG.info("no heartbeat: %s", type(error).__name__)
            if not parent_lives():
                stop.request(StopReason.SIGTERM)

    thread = threading.Thread(target=go_on, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield member
    finally:
        over.set()
        thread.join(timeout=5 * seconds)
        with contextlib.suppress(*DATABASE_ERRORS):
            member.deregister(Database(database.engine, retry_timeout=lambda: 5.0))


def apply_control(study: Any, stop: StopRequest) -> None:
    """Do what a study's row says: end, or end at its time limit.

    Args:
        study: The row that `beat` returns.
        stop: Is told.
    """
    if reason := StopReason.of_study(study.stop_reason):
        stop.request(reason)
    stop.deadline = None if study.deadline is None else stop.clock() + study.deadline - study.now
    used = study.used - study.device_seconds_at_start
    stop.is_used_up = study.device_seconds_limit is not None and used >= study.device_seconds_limit


def parent_watch() -> Callable[[], bool]:
    """What says whether the process that started this one is still there."""
    parent = os.getppid()
    return lambda: os.getppid() == parent
