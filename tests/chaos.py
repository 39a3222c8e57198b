"""A seeded killer: what may happen to the workers of a study and to what they share, at random moments."""

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.light import Crew
from tests.servers import Postgres

KILLS = ("SIGKILL", "SIGTERM", "SIGSTOP")


@dataclass
class Chaos:
    """Strikes a crew until the study is over, or often enough.

    Args:
        crew: The workers.
        seed: Of the moments and of the choices.
        strikes: How many.
        pause: Seconds between two, from and to.
        stall: Seconds for which a worker is stopped.
        server: The database, which crashes now and then.
        checkpoints: Folder of checkpoints, one of which is truncated now and then.
        disk: A small file system, which is full now and then.
        most_kills: No more strikes after so many workers were killed, told to end, or stopped.
    """

    crew: Crew
    seed: int
    strikes: int
    pause: tuple[float, float] = (0.5, 2.0)
    stall: float = 4.0
    server: Postgres | None = None
    checkpoints: Path | None = None
    disk: Path | None = None
    most_kills: int = 10**6
    counts: Counter[str] = field(default_factory=Counter)
    _stalled: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def run(self, patience: float) -> None:
        """Strike; then wait until all workers have found the study over, at most so many seconds."""
        began = time.monotonic()
        while self._goes_on() and time.monotonic() - began < patience:
            self._pass(self._random.uniform(*self.pause))
            if self.crew.look_after():
                break
            self._strike()
        self._pass(self.stall + 0.1)
        self.crew.wait(patience - (time.monotonic() - began))

    def _goes_on(self) -> bool:
        return sum(self.counts.values()) < self.strikes and self.kills < self.most_kills

    @property
    def kills(self) -> int:
        """How often a worker was killed, told to end, or stopped."""
        return sum(self.counts[name] for name in KILLS)

    def _strike(self) -> None:
        strikes: list[tuple[str, Callable[[], bool]]] = [(name, self._signal(name)) for name in KILLS] * 2
        if self.server is not None:
            strikes.append(("server crashed", self._crash))
        if self.checkpoints is not None:
            strikes += [("checkpoint truncated", self._truncate)] * 2
        if self.disk is not None:
            strikes.append(("disk full", self._fill))
        name, strike = self._random.choice(strikes)
        self.counts[name] += strike()

    def _pass(self, seconds: float) -> None:
        """Let time pass, and let workers go on that were stopped for long enough."""
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            for pid in [pid for pid, end in self._stalled.items() if end <= now]:
                del self._stalled[pid]
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            self.crew.look_after()
            time.sleep(0.05)

    def _signal(self, name: str) -> Callable[[], bool]:
        def strike() -> bool:
            living = [worker.pid for worker in self.crew.workers if worker.poll() is None]
            living = [pid for pid in living if pid not in self._stalled]
            if not living:
                return False
            pid = self._random.choice(living)
            os.kill(pid, signal.Signals[name])
            if name == "SIGSTOP":
                self._stalled[pid] = time.monotonic() + self.stall
            return True

        return strike

    def _crash(self) -> bool:
        if self.server is None:
            return False
        self.server.stop("immediate")
        self._pass(0.5)
        self.server.start()
        return True

    def _truncate(self) -> bool:
        try:
            file = self._random.choice(sorted(self.checkpoints.iterdir() if self.checkpoints else []))
            os.truncate(file, file.stat().st_size // 2)
        except (OSError, IndexError):
            return False
        return True

    def _fill(self) -> bool:
        ballast = (self.disk or Path()) / "ballast"
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(4096)):
                pass
        self._pass(1.5)
        ballast.unlink()
        return True
