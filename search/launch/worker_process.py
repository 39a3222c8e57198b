"""One worker process: an ordinary run of a space, with its output in a log file and its events on a pipe.

    python -m search.launch.worker_process

A supervisor starts it, with its job in the environment. It exits like `search run`, or with 75 to be replaced by a new
process.
"""

import os
import sys
from dataclasses import replace

import typer

from search.display.screen import LABEL
from search.display.summary import summary
from search.display.terminal import escape_unencodable, flush_quietly, print_line
from search.exit_codes import error_message, exit_code, exit_on_error
from search.formatting import format_bytes
from search.launch.local_run import load_typed, search_loaded
from search.launch.worker_job import JOB, WorkerJob, job_of
from search.launch.worker_screen import WorkerScreen
from search.quiet_env import silence_native_logs
from search.run_command import STORAGE
from studies.events import WorkerFailed
from studies.stop_request import StopRequest
from studies.workers.context import RECYCLED
from studies.workers.event_pipe import EventWriter


def main() -> None:
    """Work until the study is over or a stop is requested."""
    escape_unencodable()
    # Processes that this one starts are not workers.
    job = job_of(os.environ)
    del os.environ[JOB]
    events = EventWriter(job.events)
    try:
        with exit_on_error(job.debug):
            code = work(job, events)
    except typer.Exit as ended:
        code = ended.exit_code
        if error := ended.__cause__:
            events.send(WorkerFailed(error_message(error, job.debug)))
    flush_quietly()
    sys.exit(code)


def work(job: WorkerJob, events: EventWriter) -> int:
    """Do the job and return the exit code."""
    silence_native_logs()
    from studies.workers.recycling import private_memory

    storage = os.environ.get(STORAGE)
    call = replace(job.command, settings={**job.command.settings, **({"storage": storage} if storage else {})})
    stop = StopRequest(leaves_at_second=False)
    with WorkerScreen(call.target, stop.request, events, debug=job.debug) as screen:
        loaded, study = load_typed(call, call.settings, screen)
        result, defaults = search_loaded(call, loaded, study, screen, stop, job.process)
    if result.should_restart:
        print_line(
            f"{'worker':<{LABEL}} restarting this worker process ({format_bytes(private_memory())} memory in use)"
        )
        return RECYCLED
    screen.summary(summary(result, call, defaults))
    return exit_code(result)


if __name__ == "__main__":
    main()
