"""A worker process that this process has started, and the pipe on which it reports."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace

from search.launch.worker_job import WorkerJob
from studies.events import WorkerEvent
from studies.workers.event_pipe import EventReader, open_pipe


@dataclass(frozen=True)
class RunningWorker:
    """A worker process.

    Args:
        process: The process.
        pipe: Its events.
    """

    process: subprocess.Popen[bytes]
    pipe: EventReader

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def poll(self) -> int | None:
        """Return its exit code, or None while it runs."""
        return self.process.poll()

    def read_events(self) -> list[WorkerEvent]:
        """Return its new events. After `poll` has returned an exit code these are the last ones."""
        events = self.pipe.read()
        if self.process.returncode is not None:
            self.pipe.close()
        return events

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.process.terminate()

    def kill(self) -> None:
        """Send SIGKILL."""
        self.process.kill()


def start_worker(job: WorkerJob, environ: Mapping[str, str], storage: str | None, log: int) -> RunningWorker:
    """Start the process of a worker.

    Args:
        environ: Its environment, without its job.
        storage: URL of the database, or None for the file in the study's folder.
        log: Descriptor of its log file.
    """
    pipe, writer = open_pipe()
    job = replace(job, events=writer)
    try:
        process = subprocess.Popen(
            job.command_line(),
            env=job.environment(environ, storage),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[writer],
            # Ctrl-C in the terminal reaches the supervisor alone.
            start_new_session=True,
        )
    finally:
        os.close(writer)
    return RunningWorker(process, pipe)
