"""`search stop`: asks all workers of a study to end, wherever they are, and waits until they have."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from search.display.messages import Line
from search.display.screen import print_lines
from search.display.terminal import print_line
from search.formatting import escape_text, format_command, format_count, format_duration
from search.run_command import location_options
from search.saved_command import storage_of
from spaces.errors import StudyError

if TYPE_CHECKING:
    from studies.status.status import StudyStatus

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
    """Ask a study's workers to end, wait for them, and say on standard output how it stands then.

    Args:
        study: Name of the study, or its folder.
        output: Folder of all studies.
        storage: URL of the database, or None.
        wait_seconds: How long to wait; 0 to say no more than that they were asked.
        sleep: Waits for a number of seconds.
        clock: Seconds that only ever grow.

    Raises:
        StudyError: There is no such study, its database cannot be used, or workers have not ended in that time.
    """
    from studies.database.errors import translate_errors
    from studies.database.lookup import open_study, resolve_study
    from studies.database.study_control import request_stop
    from studies.status.status import read_status

    typed = [study, *location_options(output, storage)]
    found = open_study(resolve_study(study, output, storage_of(study, output, storage)), readonly=False)
    if not found.created_by_search:
        raise StudyError(f"the study {found.name!r} was not made by search: it has no workers that can be asked to end")
    with translate_errors(found.url):
        asked = request_stop(found.database, found.study_id)
    if not asked:
        print_lines(
            [
                ("workers", "none is alive; a process that is still starting ends before its first trial"),
                *_left(read_status(found), typed),
            ]
        )
        return
    print_line(f"asked {format_count(asked, 'worker')} to end: each finishes its step and hands its trial back")
    if not wait_seconds:
        return
    over = clock() + wait_seconds
    while (status := read_status(found)).count("alive"):
        if clock() >= over:
            raise StudyError(_still(status, asked, wait_seconds))
        sleep(POLL_SECONDS)
    print_lines([("workers", "none is alive any more"), *_left(status, typed)])


def _still(status: "StudyStatus", asked: int, wait_seconds: float) -> str:
    alive = [worker for worker in status.workers if worker.is_alive]
    lines = "\n".join(f"    {escape_text(each.host)} {each.pid}: {escape_text(each.activity)}" for each in alive)
    return (
        f"{len(alive)} of {format_count(asked, 'worker')} are still running after {format_duration(wait_seconds)}:\n"
        f"{lines}\nThey will stop after their current step: see search workers {escape_text(status.name)}"
    )


def _left(status: "StudyStatus", study: list[str]) -> list[Line]:
    progress = status.progress
    left = progress.trials - progress.done
    facts = [("trials", f"{progress.done} of {progress.trials} have ended" + (f", {left} to go" if left > 0 else ""))]
    return [*facts, *([("next", format_command("search", "resume", *study))] if left > 0 else [])]
