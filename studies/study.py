"""How a space is searched: the record that may stand beside the space in its file."""

import math
import re
from dataclasses import KW_ONLY, dataclass
from typing import Any

from spaces.errors import SpaceError

SAMPLERS = ("tpe", "random", "grid", "gp", "cmaes")
PRUNERS = ("hyperband", "asha", "median", "none")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Study:
    """How a space is searched; options of `search run` override it.

    Args:
        trials: Trials to evaluate in all, over every run and every process; the first is the baseline.
        timeout: When to stop starting trials and end the running one, in seconds or as text: `90s`, `30m`, `2h`,
            `1h30m`; None for no limit. A later run of the same study has its own.
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

    def __post_init__(self) -> None:
        _whole("trials", self.trials, 1)
        _whole("seed", self.seed, 0)
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


def seconds(duration: float | str) -> float:
    """The seconds in a duration such as `90`, `90s`, `30m` or `1h30m`.

    Raises:
        SpaceError: The text is not a duration above 0.
    """
    if isinstance(duration, int | float) and not isinstance(duration, bool):
        total = float(duration)
    else:
        text = str(duration).strip().lower()
        if not re.fullmatch(r"(\d+(\.\d+)?\s*[smhd]?\s*)+", text):
            raise SpaceError(f"timeout: must be a duration such as 90s, 30m or 1h30m, got {duration!r}")
        parts = re.findall(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text)
        total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not math.isfinite(total) or total <= 0:
        raise SpaceError(f"timeout: must be longer than 0, got {duration!r}")
    return total


def valid_name(name: Any) -> bool:
    """Whether a study can have this name: it is also a folder's."""
    return isinstance(name, str) and re.fullmatch(r"[\w][\w.-]{0,99}", name) is not None and name not in (".", "..")


def _whole(name: str, value: Any, low: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise SpaceError(f"{name}: must be a whole number of at least {low}, got {value!r}")


def _above(name: str, value: Any, low: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low < value < math.inf:
        raise SpaceError(f"{name}: must be a number above {low:g}, got {value!r}")


def _one_of(name: str, value: Any, options: tuple[str, ...]) -> None:
    if value not in options:
        raise SpaceError(f"{name}: must be one of {', '.join(options)}, got {value!r}")
