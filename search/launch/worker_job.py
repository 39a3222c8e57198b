"""The work of a worker process, passed in its environment, since any user can list command lines."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

JOB, STORAGE = "SEARCH_WORKER", "SEARCH_STORAGE"


@dataclass(frozen=True)
class WorkerJob:
    """The work of one worker process.

    Args:
        number: Number of the worker on this machine, counted from 1.
        target: The space, as typed.
        settings: The settings of the study on the command line, without the database.
        output: Folder of all studies.
        log: Path of its log file.
        parent: Process id of the supervisor.
        events: Descriptor of the pipe to the supervisor; None for none.
        export: Export the best model.
        data: Folder of images that replaces the space's own, or None.
        test: Fraction of the images, or folder, that replaces the space's own test images; or None.
        device: Name of its device, for people.
        device_share: Fraction of the device that it uses.
        gpu_memory: GPU memory limit in bytes, or None.
        memory: Private memory in bytes above which a new process replaces it.
        trials: Number of trials after which a new process replaces it.
        is_replacement: Another process of this run has worked in its place.
        checks_model: Build the first model before the first trial; False after a process has crashed without a message.
            If that model is the cause, it then fails as a trial, and the others are evaluated.
        study: Identity of the study that this run has joined; None while unknown.
        debug: Log tracebacks.
        started: Reading of `time.monotonic`, which all processes of a machine share, at the start of the command.
    """

    number: int
    target: str
    output: str
    log: str
    parent: int
    memory: int
    trials: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    export: bool = True
    data: str | None = None
    test: str | None = None
    device: str = ""
    device_share: float = 1.0
    gpu_memory: int | None = None
    is_replacement: bool = False
    checks_model: bool = True
    study: str | None = None
    debug: bool = False
    started: float | None = None
    events: int | None = None

    def command(self) -> list[str]:
        """Return the command line; its arguments only describe the process to people who list processes."""
        words = [f"worker-{self.number}", self.target]
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
        variables |= {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1", JOB: json.dumps(asdict(self))}
        return variables if storage is None else {**variables, STORAGE: storage}


def job_of(environ: Mapping[str, str]) -> WorkerJob:
    """Return the job in an environment."""
    return WorkerJob(**json.loads(environ[JOB]))
