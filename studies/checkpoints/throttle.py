"""How often something is done that takes time from the training."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Throttle:
    """Keeps what is done again and again to a small share of the time, however long it takes.

    Args:
        times: So many times what it took last lies at least between two times; 20 means a share of up to 5%.
        clock: Seconds that only ever grow.
    """

    times: float
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    seconds: float = field(default=0.0, init=False)
    """How long it took the last time."""
    _ended: float | None = field(default=None, init=False)

    @property
    def is_due(self) -> bool:
        """Whether enough time has passed; the first time is always due."""
        return self._ended is None or self.clock() - self._ended >= self.times * self.seconds

    def record_save(self, seconds: float) -> None:
        """It has just been done."""
        self.seconds, self._ended = seconds, self.clock()
