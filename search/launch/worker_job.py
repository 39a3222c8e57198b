"""What a worker process is told when it is started: in its environment, since everybody can list command lines."""

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
    """What one worker process does.

    Args:
        number: Of the worker on this machine, counted from 1.
        target: The space, as typed.
        settings: The typed settings of the study, without the database.
        output: Where studies are kept.
        log: Its log file.
        parent: Process id of the supervisor.
        events: Descriptor of the pipe to the supervisor; None for none.
        export: Whether the best model is exported.
        data: The folder of images in place of the space's own, or None.
        test: A share of the images, or a folder, to test with in place of the space's own; or None.
        device: What it trains on, in words.
        device_share: Its part of that.
        gpu_memory: Most bytes that it may take of its GPU, or None.
        memory: Bytes of its own memory from which on it makes room for a fresh process.
        trials: Trials after which it does so.
        is_replacement: Another process of this run has worked in its place.
        checks_model: Build the first model before the first trial; not where an earlier process died without a word,
            which that model may have killed: it then fails as a trial, and the others are evaluated.
        study: Identity of the study that this run has worked on; None while that is not known.
        debug: Show tracebacks.
        started: Reading of `time.monotonic`, which all processes of a machine share, when the command began.
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
        """The command line; the arguments only tell whoever lists the processes what this one is."""
        words = [f"worker-{self.number}", self.target]
        return [sys.executable, "-P", "-m", "search.launch.worker_process", *words]

    def environment(self, environ: Mapping[str, str], storage: str | None) -> dict[str, str]:
        """The environment of the process.

        Args:
            environ: That of this process.
            storage: URL of the database, which may hold a password; None for the file in the study's folder.
        """
        root = str(Path(__file__).parents[2])
        paths = [root, *filter(None, [environ.get("PYTHONPATH")])]
        told = {name: value for name, value in environ.items() if name != STORAGE}
        told |= {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1", JOB: json.dumps(asdict(self))}
        return told if storage is None else {**told, STORAGE: storage}


def job_of(environ: Mapping[str, str]) -> WorkerJob:
    """The job that stands in the environment."""
    return WorkerJob(**json.loads(environ[JOB]))
