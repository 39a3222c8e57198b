"""How a space is searched: the record that may stand beside the space in its file."""

import math
import re
from dataclasses import KW_ONLY, dataclass
from typing import Any

from spaces.argument_errors import checked_arguments
from spaces.errors import SpaceError
from studies.units import memory_bytes, seconds

SAMPLERS = ("tpe", "random", "grid", "gp", "cmaes")
PRUNERS = ("hyperband", "asha", "median", "none")
DEVICES = "auto, cpu, or numbers of GPUs such as 0,1"
MAX_TRIALS = 2**31 - 1
"""What a whole number holds in every database."""


@checked_arguments
@dataclass(frozen=True)
class Study:
    """How a space is searched; options of `search run` override it.

    Args:
        trials: Trials to evaluate in all, over every run and every process; the first is the baseline.
        timeout: What the whole command may take, with the retraining, test and export of the best trial, in seconds
            or as text: `90s`, `30m`, `2h`, `1h30m`; None for no limit. It counts from the start of the command that
            begins to work on the study; workers that join later share it. A later run has its own.
        sampler: `tpe` (default), `random`, `grid` (needs a step for every real number), `gp` or `cmaes`.
        pruner: `hyperband` (default), `asha`, `median` or `none`.
        seed: From it every trial's sampling, weights and order of images are derived.
        name: Name of the study; None takes the space's.
        storage: SQLAlchemy URL of the database; None takes `study.db` in the study's folder.
        gpu_hours: What all workers may use of their GPUs together (or of their machines, without GPUs) before the
            search ends; None for no limit.
        checkpoints: Folder or fsspec URL (`s3://bucket/folder`) where trials in training are kept, for others to go on
            with; None for `checkpoints` in the study's folder.
        heartbeat_seconds: Between two signs of life of a worker.
        lost_after_seconds: Silence after which a worker is given up for lost and its trial goes on elsewhere.
        retries: How often a trial is begun again whose worker died (killed by the system, say, for its memory) before
            it had finished one more epoch; then the trial has failed, and the study goes on.
        workers: Processes on this machine; None for one without a supervisor, or for what `devices` has room for.
        devices: What they train on: `auto` (the GPUs, else the CPU), `cpu`, or numbers of GPUs such as `0,1`; None is
            `auto` for several workers.
        per_gpu: Workers that share a GPU; None takes as few as hold all of `workers`.
        gpu_memory: What each worker may take of its GPU, in bytes or as text: `8GiB`, `500MB`; None for no limit.
        worker_memory: Memory of its own from which on a worker makes room for a fresh one, as `gpu_memory`; None takes
            0.8 of the machine's, divided by the workers.
        trials_per_process: Trials after which a worker makes room for a fresh one.

    Raises:
        SpaceError: A field breaks its rule.
    """

    _: KW_ONLY
    trials: int = 30
    timeout: float | str | None = None
    sampler: str = "tpe"
    pruner: str = "hyperband"
    seed: int = 0
    name: str | None = None
    storage: str | None = None
    gpu_hours: float | None = None
    checkpoints: str | None = None
    heartbeat_seconds: float = 2.0
    lost_after_seconds: float = 10.0
    retries: int = 2
    workers: int | None = None
    devices: str | None = None
    per_gpu: int | None = None
    gpu_memory: int | str | None = None
    worker_memory: int | str | None = None
    trials_per_process: int = 100

    def __post_init__(self) -> None:
        _whole("trials", self.trials, 1, MAX_TRIALS)
        _whole("seed", self.seed, 0)
        _whole("retries", self.retries, 0)
        _one_of("sampler", self.sampler, SAMPLERS)
        _one_of("pruner", self.pruner, PRUNERS)
        object.__setattr__(self, "timeout", None if self.timeout is None else seconds(self.timeout))
        if self.name is not None and not valid_name(self.name):
            raise SpaceError(f"study name: must be letters, digits, '-', '_' and '.', got {self.name!r}")
        if self.storage is not None and not isinstance(self.storage, str):
            raise SpaceError(f"storage: must be the URL of a database, got {self.storage!r}")
        if self.gpu_hours is not None:
            _above("gpu_hours", self.gpu_hours, 0.0)
        if self.checkpoints is not None and not isinstance(self.checkpoints, str):
            raise SpaceError(f"checkpoints: must be a folder or a URL, got {self.checkpoints!r}")
        _above("heartbeat_seconds", self.heartbeat_seconds, 0.0)
        _above("lost_after_seconds", self.lost_after_seconds, 2 * self.heartbeat_seconds)
        for name in ("workers", "per_gpu", "trials_per_process"):
            if getattr(self, name) is not None:
                _whole(name, getattr(self, name), 1)
        if self.devices is not None and not valid_devices(self.devices):
            raise SpaceError(f"devices: must be {DEVICES}, got {self.devices!r}")
        for name in ("gpu_memory", "worker_memory"):
            given = getattr(self, name)
            object.__setattr__(self, name, None if given is None else memory_bytes(name, given))

    @property
    def is_supervised(self) -> bool:
        """Whether its workers are processes of their own."""
        return self.workers is not None or self.devices is not None


def valid_devices(devices: Any) -> bool:
    """Whether this names devices: `auto`, `cpu`, or GPUs by number or by NVIDIA's own identifiers."""
    one = r"(\d{1,3}|(GPU|MIG)-[\w/-]+)"
    return isinstance(devices, str) and re.fullmatch(rf"auto|cpu|{one}(\s*,\s*{one})*", devices.strip()) is not None


def valid_name(name: Any) -> bool:
    """Whether a study can have this name: it is also a folder's."""
    return isinstance(name, str) and re.fullmatch(r"[\w][\w.-]{0,99}", name) is not None and name not in (".", "..")


def _whole(name: str, value: Any, low: int, high: float = math.inf) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        at_most = "" if high == math.inf else f" and at most {high}"
        raise SpaceError(f"{name}: must be a whole number of at least {low}{at_most}, got {value!r}")


def _above(name: str, value: Any, low: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low < value < math.inf:
        raise SpaceError(f"{name}: must be a number above {low:g}, got {value!r}")


def _one_of(name: str, value: Any, options: tuple[str, ...]) -> None:
    if value not in options:
        raise SpaceError(f"{name}: must be one of {', '.join(options)}, got {value!r}")
