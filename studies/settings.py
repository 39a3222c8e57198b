"""The settings of a study: the record that a space file may define as `study`."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, InitVar, dataclass
from typing import Any

from spaces.argument_errors import checked_arguments
from spaces.errors import SpaceError
from spaces.scalars import Scalar, short_repr, to_python
from studies.units import memory_bytes, seconds

SAMPLERS = ("tpe", "random", "grid", "stepwise", "gp", "cmaes")
PRUNERS = ("hyperband", "asha", "median", "none")
DEVICES = "auto, cpu, or numbers of GPUs such as 0,1"
MAX_TRIALS = 2**31 - 1
"""The largest integer of every database."""

RENAMED = {"per_gpu": "workers_per_gpu", "worker_memory": "max_worker_memory"}
"""The fields' names in earlier releases, and their names now."""


@checked_arguments
@dataclass(frozen=True)
class Study:
    """The settings of a study; options of `search run` override them.

    Args:
        trials: Maximum number of trials, across all runs and workers; the first is the baseline.
        timeout: Time limit of the whole command, with retraining, test and export, in seconds or as text: `90s`,
            `30m`, `2h`, `1h30m`; None for no limit. It counts from the start of the command that starts the study;
            workers that join later share it. A later run has its own.
        sampler: `tpe` (default), `random`, `grid`, `gp`, `cmaes`, or `stepwise` (changes one parameter at a
            time, from the best trial so far), the default of `search run FOLDER`. `grid` and `stepwise` require a step
            for every `Float`.
        first: Recipes to evaluate right after the baseline, before the sampler chooses. Each is a dict of parameters by
            dotted name, as `search show` prints them; parameters that are left out have their defaults.
        pruner: `hyperband` (default), `asha`, `median` or `none`.
        seed: Random seed of every trial's sampling, weights and order of images.
        name: Name of the study; None takes the space's.
        storage: SQLAlchemy URL of the database; None takes `study.db` in the study's folder.
        gpu_hours: Total GPU hours for all workers (hours of their machines, without GPUs); None for no limit.
        checkpoints: Folder or fsspec URL (`s3://bucket/folder`) for the checkpoints, which all workers must reach;
            None for `checkpoints` in the study's folder.
        heartbeat_seconds: Time between two heartbeats of a worker.
        lost_after_seconds: Time without a heartbeat after which a worker counts as lost and its trial is requeued.
        retries: How often a trial is retried whose worker crashed before it had completed one more epoch; after that
            the trial fails, and the study continues.
        workers: Number of worker processes on this machine; None for one without a supervisor, or for as many as
            `devices` have room for.
        devices: Devices for the workers: `auto` (the GPUs, else the CPU), `cpu`, or numbers of GPUs such as `0,1`;
            None is `auto` for several workers.
        workers_per_gpu: Number of workers that share a GPU; None takes the fewest that hold all of `workers`.
        gpu_memory: GPU memory limit per worker, in bytes or as text: `8GiB`, `500MB`; None for no limit.
        max_worker_memory: Memory of one worker, as `gpu_memory`, above which its process is restarted; None takes
            80% of the machine's memory divided by the workers.
        trials_per_process: Number of trials after which a worker's process is restarted.
        per_gpu: The name of `workers_per_gpu` in earlier releases.
        worker_memory: The name of `max_worker_memory` in earlier releases.

    Raises:
        SpaceError: A field breaks its rule.
    """

    _: KW_ONLY
    trials: int = 30
    timeout: float | str | None = None
    sampler: str = "tpe"
    first: Sequence[Mapping[str, Scalar]] = ()
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
    workers_per_gpu: int | None = None
    gpu_memory: int | str | None = None
    max_worker_memory: int | str | None = None
    trials_per_process: int = 100
    per_gpu: InitVar[int | None] = None
    worker_memory: InitVar[int | str | None] = None

    def __post_init__(self, per_gpu: int | None, worker_memory: int | str | None) -> None:
        for old, value in (("per_gpu", per_gpu), ("worker_memory", worker_memory)):
            if value is not None:
                object.__setattr__(self, RENAMED[old], value)
        _whole("trials", self.trials, 1, MAX_TRIALS)
        _whole("seed", self.seed, 0)
        _whole("retries", self.retries, 0)
        _one_of("sampler", self.sampler, SAMPLERS)
        object.__setattr__(self, "first", _recipes(self.first))
        _one_of("pruner", self.pruner, PRUNERS)
        object.__setattr__(self, "timeout", None if self.timeout is None else seconds(self.timeout))
        if self.name is not None and not valid_name(self.name):
            raise SpaceError(f"name: got {self.name!r}, expected letters, digits, '-', '_' and '.'")
        if self.storage is not None and not isinstance(self.storage, str):
            raise SpaceError(f"storage: got {self.storage!r}, expected the URL of a database")
        if self.gpu_hours is not None:
            _above("gpu_hours", self.gpu_hours, 0.0)
        if self.checkpoints is not None and not isinstance(self.checkpoints, str):
            raise SpaceError(f"checkpoints: got {self.checkpoints!r}, expected a folder or a URL")
        _above("heartbeat_seconds", self.heartbeat_seconds, 0.0)
        _above("lost_after_seconds", self.lost_after_seconds, 2 * self.heartbeat_seconds)
        for name in ("workers", "workers_per_gpu", "trials_per_process"):
            if getattr(self, name) is not None:
                _whole(name, getattr(self, name), 1)
        if self.devices is not None and not valid_devices(self.devices):
            raise SpaceError(f"devices: got {self.devices!r}, expected {DEVICES}")
        for name in ("gpu_memory", "max_worker_memory"):
            given = getattr(self, name)
            object.__setattr__(self, name, None if given is None else memory_bytes(name, given))

    @property
    def is_supervised(self) -> bool:
        """Return True if its workers are processes of their own."""
        return self.workers is not None or self.devices is not None


def valid_devices(devices: Any) -> bool:
    """Return True for `auto`, `cpu`, or GPUs by number or by NVIDIA's own identifiers."""
    one = r"(\d{1,3}|(GPU|MIG)-[\w/-]+)"
    return isinstance(devices, str) and re.fullmatch(rf"auto|cpu|{one}(\s*,\s*{one})*", devices.strip()) is not None


def valid_name(name: Any) -> bool:
    """Return True if a study can have this name, which is also that of its folder."""
    return isinstance(name, str) and re.fullmatch(r"[\w][\w.-]{0,99}", name) is not None and name not in (".", "..")


def _recipes(value: Any) -> tuple[dict[str, Scalar], ...]:
    recipes = value if isinstance(value, list | tuple) else (value,)
    are_dicts = all(isinstance(each, Mapping) and all(isinstance(name, str) for name in each) for each in recipes)
    if recipes is not value or not are_dicts:
        raise SpaceError(f"first: got {short_repr(value)}, expected a list of dicts of parameters by dotted name")
    return tuple({name: to_python(each) for name, each in recipe.items()} for recipe in value)


def _whole(name: str, value: Any, low: int, high: float = math.inf) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        at_most = "" if high == math.inf else f" and at most {high}"
        raise SpaceError(f"{name}: got {value!r}, expected an integer of at least {low}{at_most}")


def _above(name: str, value: Any, low: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low < value < math.inf:
        raise SpaceError(f"{name}: got {value!r}, expected a number above {low:g}")


def _one_of(name: str, value: Any, options: tuple[str, ...]) -> None:
    if value not in options:
        raise SpaceError(f"{name}: got {value!r}, expected one of {', '.join(options)}")
