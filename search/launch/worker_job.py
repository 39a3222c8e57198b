"""The work of a worker process, passed in its environment, since any user can list command lines."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from search.run_command import STORAGE, RunCommand
from studies.workers.context import WorkerContext

JOB = "SEARCH_WORKER"


@dataclass(frozen=True)
class WorkerJob:
    """The work of one worker process.

    Args:
        number: Number of the worker on this machine, counted from 1.
        command: The typed command, without the database.
        process: Circumstances of the process.
        events: Descriptor of the pipe to the supervisor; None for none.
        debug: Log tracebacks.
    """

    number: int
    command: RunCommand
    process: WorkerContext
    events: int | None = None
    debug: bool = False

    def command_line(self) -> list[str]:
        """Return the command line; its arguments only describe the process to people who list processes."""
        words = [f"worker-{self.number}", self.command.target]
        return [sys.executable, "-P", "-m", "search.launch.worker_process", *words]

    def environment(self, environ: Mapping[str, str], storage: str | None) -> dict[str, str]:
        """Return the environment of the process.

        Args:
            environ: Environment of the supervisor.
            storage: URL of the database, which may hold a password; None for the file in the study's folder.
        """
        root = str(Path(__file__).parents[2])
        paths = [root, *filter(None, [environ.get("PYTHONPATH")])]
        variables = {name: value for name, value in environ.items() if name != STORAGE}
        job = json.dumps(asdict(self), default=os.fspath)
        variables |= {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1", JOB: job}
        return variables if storage is None else {**variables, STORAGE: storage}


def job_of(environ: Mapping[str, str]) -> WorkerJob:
    """Return the job in an environment."""
    record = json.loads(environ[JOB])
    command = record["command"] | {"output": Path(record["command"]["output"])}
    return WorkerJob(**record | {"command": RunCommand(**command), "process": WorkerContext(**record["process"])})
