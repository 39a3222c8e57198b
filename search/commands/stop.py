"""`search stop`: stops all workers of a study, on all machines, and waits for them."""

import time
from collections.abc import Callable
from pathlib import Path

from search.display.messages import Line
from search.display.screen import print_lines
from search.display.terminal import print_line
from search.formatting import escape_text, format_command, format_count, format_duration
from search.run_command import location_options
from search.saved_command import storage_of
from spaces.errors import StudyError
from studies.database.errors import translate_errors
from studies.database.lookup import open_study, resolve_study
from studies.database.study_control import request_stop
from studies.status.status import StudyStatus, read_status

POLL_SECONDS = 0.5


def stop_study(
    study: str,
    output: Path,
    storage: str | None,
    *,
    wait_seconds: float,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Stop a study's workers, wait for them, and print the trials that are left.

    Args:
        wait_seconds: Maximum waiting time in seconds; 0 to return immediately.
        clock: Monotonic clock in seconds.

    Raises:
        StudyError: The study was not found, its database cannot be used, or workers are still running after that time.
    """
    typed = [study, *location_options(output, storage)]
    found = open_study(resolve_study(study, output, storage_of(study, output, storage)), readonly=False)
    if not found.created_by_search:
        raise StudyError(f"study {found.name!r} was not created by search and has no workers to stop")
    with translate_errors(found.url):
        running = request_stop(found.database, found.study_id)
    if not running:
        workers = ("workers", "none running; a worker that is still starting stops before its first trial")
        print_lines([workers, *_remaining_lines(read_status(found), typed)])
        return
    print_line(
        f"Stop requested for {format_count(running, 'worker')}. Each finishes its current step and returns its trial "
        "to the queue."
    )
    if not wait_seconds:
        return
    deadline = clock() + wait_seconds
    while (status := read_status(found)).count("alive"):
        if clock() >= deadline:
            raise StudyError(_still_running(status, running, wait_seconds))
        sleep(POLL_SECONDS)
    print_lines([("workers", "all stopped"), *_remaining_lines(status, typed)])


def _still_running(status: StudyStatus, workers: int, wait_seconds: float) -> str:
    alive = [worker for worker in status.workers if worker.is_alive]
    lines = "\n".join(f"    {escape_text(each.host)} {each.pid}: {escape_text(each.activity)}" for each in alive)
    return (
        f"{len(alive)} of {format_count(workers, 'worker')} still running after {format_duration(wait_seconds)}:\n"
        f"{lines}\nhint: they will stop after their current step; see `search workers {escape_text(status.name)}`"
    )


def _remaining_lines(status: StudyStatus, study: list[str]) -> list[Line]:
    progress = status.progress
    lines = [("trials", f"{progress.done} of {progress.trials} done")]
    return [
        *lines,
        *([("next", format_command("search", "resume", *study))] if progress.done < progress.trials else []),
    ]
