"""One worker process: the ordinary run of a space, beside others, with its output in a log file.

    python -m search.launch.worker_process

It is started by a supervisor, which puts its job into the environment. It ends as `search run` does, or with 75 when a
fresh process should go on in its place.
"""

import os
import sys
from pathlib import Path

import typer

from search.display.screen import LABEL
from search.display.summary import summary
from search.display.terminal import escape_what_cannot_be_encoded, flush_quietly, say
from search.exit_codes import exit_code, told
from search.formatting import gigabytes
from search.launch.local_run import search
from search.launch.worker_job import JOB, STORAGE, Job, job_of
from search.run_command import Call
from studies.workers.context import RECYCLED, Process


def main() -> None:
    """Work until the study is over or an end is asked for."""
    escape_what_cannot_be_encoded()
    # Processes that this one starts are no workers.
    job = job_of(os.environ)
    del os.environ[JOB]
    try:
        with told(job.debug):
            code = work(job)
    except typer.Exit as ended:
        code = ended.exit_code
    flush_quietly()
    sys.exit(code)


def work(job: Job) -> int:
    """Do the job, and return the exit code."""
    from search.display.log_screen import Plain
    from studies.stop_request import StopRequest
    from studies.workers.recycling import resident

    settings = dict(job.settings)
    if storage := os.environ.get(STORAGE):
        settings["storage"] = storage
    call = Call(job.target, settings, Path(job.output), job.export, job.data, test=job.test)
    stop = StopRequest(leaves_at_second=False)
    with Plain(job.target, stop.request, debug=job.debug) as screen:
        result, defaults = search(call, settings, screen, stop, process_of(job))
    if result.recycled:
        say(f"{'worker':<{LABEL}} makes room for a fresh process, with {gigabytes(resident())} of memory")
        return RECYCLED
    screen.summary(summary(result, call, defaults))
    return exit_code(result)


def process_of(job: Job) -> Process:
    """What this process is among the workers."""
    from studies.workers.recycling import has_enough

    return Process(
        device=job.device,
        device_share=job.device_share,
        gpu_memory=job.gpu_memory,
        log=job.log,
        has_enough=has_enough(job.trials, job.memory),
        parent_lives=lambda: os.getppid() == job.parent,
        is_replacement=job.is_replacement,
        checks_model=job.checks_model,
        study=job.study,
        is_supervised=True,
        started=job.started,
    )


if __name__ == "__main__":
    main()
