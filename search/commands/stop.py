"""`search stop`: asks all workers of a study to end, wherever they are, and waits until they have."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from search.display.messages import Fact
from search.display.screen import show
from search.display.terminal import say
from search.formatting import clean, command, duration, plural
from search.run_command import place
from search.saved_command import storage_of
from spaces.errors import StudyError

if TYPE_CHECKING:
    from studies.status.status import Status

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
    from studies.database.errors import explained
    from studies.database.lookup import find
    from studies.database.study_control import ask_to_stop
    from studies.status.status import read_status

    typed = [study, *place(output, storage)]
    found = find(study, output, storage_of(study, output, storage), reading=False)
    if not found.is_ours:
        raise StudyError(f"the study {found.name!r} was not made by search: it has no workers that can be asked to end")
    with explained(found.url):
        asked = ask_to_stop(found.database, found.study_id)
    if not asked:
        show(
            [
                ("workers", "none is alive; a process that is still starting ends before its first trial"),
                *_left(read_status(found), typed),
            ]
        )
        return
    say(f"asked {plural(asked, 'worker')} to end: each finishes its step and hands its trial back")
    if not wait_seconds:
        return
    over = clock() + wait_seconds
    while (status := read_status(found)).count("alive"):
        if clock() >= over:
            raise StudyError(_still(status, asked, wait_seconds))
        sleep(POLL_SECONDS)
    show([("workers", "none is alive any more"), *_left(status, typed)])


def _still(status: "Status", asked: int, wait_seconds: float) -> str:
    alive = [worker for worker in status.workers if worker.state == "alive"]
    lines = "\n".join(f"    {clean(each.host)} {each.pid}: {clean(each.doing)}" for each in alive)
    return (
        f"{len(alive)} of {plural(asked, 'worker')} have not ended within {duration(wait_seconds)}:\n{lines}\n"
        f"They will, after what they are doing: see search workers {clean(status.name)}"
    )


def _left(status: "Status", study: list[str]) -> list[Fact]:
    progress = status.progress
    left = progress.trials - progress.done
    facts = [("trials", f"{progress.done} of {progress.trials} have ended" + (f", {left} to go" if left > 0 else ""))]
    return [*facts, *([("next", command("search", "resume", *study))] if left > 0 else [])]
