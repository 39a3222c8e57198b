"""Limits how often work such as checkpoints interrupts the training."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Throttle:
    """Limits repeated work to a small fraction of the time, however long it takes.

    Args:
        times: Minimum interval as a multiple of the last duration; 20 means at most 5% of the time.
        clock: Monotonic clock in seconds.
    """

    times: float
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    seconds: float = field(default=0.0, init=False)
    """Duration of the last run in seconds."""
    _ended: float | None = field(default=None, init=False)

    @property
    def is_due(self) -> bool:
        """Return True if enough time has passed; the first run is always due."""
        return self._ended is None or self.clock() - self._ended >= self.times * self.seconds

    def record_save(self, seconds: float) -> None:
        """Record that the work has just been done, and its duration in seconds."""
        self.seconds, self._ended = seconds, self.clock()
