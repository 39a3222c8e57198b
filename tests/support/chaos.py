"""A seeded killer: faults of workers and of what they share, at random moments."""

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.support.servers import Postgres
from tests.support.sleeping_workers import WorkerPool

KILLS = ("SIGKILL", "SIGTERM", "SIGSTOP")
MOMENT_SECONDS = 0.1
"""Interval in seconds after which a strike without a target is tried again."""


@dataclass
class Chaos:
    """Strikes a pool until the study is over or `strikes` is reached, each kind once before any repeats.

    Args:
        pause: Shortest and longest interval between strikes, in seconds.
        stall: Duration of a paused worker, in seconds.
        server: The database, which crashes.
        checkpoints: Folder of checkpoints, one of which is truncated.
        disk: A small file system, which is full for a while.
        file: The database where it is a file: it is locked for as long as an outage lasts.
        outages: Seconds that outages last, from and to, most of them short: of the database, and of all workers at once
            as when their machine is suspended. None lets the server crash only, for half a second.
        max_kills: Maximum number of workers to kill, stop or pause.
    """

    pool: WorkerPool
    seed: int
    strikes: int
    pause: tuple[float, float] = (0.5, 2.0)
    stall: float = 4.0
    server: Postgres | None = None
    checkpoints: Path | None = None
    disk: Path | None = None
    file: Path | None = None
    outages: tuple[float, float] | None = None
    signals: Sequence[str] = KILLS
    max_kills: int = 10**6
    counts: Counter[str] = field(default_factory=Counter)
    _stalled: dict[int, float] = field(default_factory=dict)
    _drawn: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        targets = {
            "server crashed": (self.server, self._crash),
            "checkpoint truncated": (self.checkpoints, self._truncate),
            "disk full": (self.disk, self._fill),
            "machine suspended": (self.outages, self._suspend),
            "database locked": (self.outages and self.file, self._lock),
        }
        self._strikes: dict[str, Callable[[], bool]] = {name: partial(self._signal, name) for name in self.signals}
        self._strikes |= {name: strike for name, (target, strike) in targets.items() if target is not None}

    def run(self, patience: float) -> None:
        """Strike; then wait until all workers have found the study over, for at most `patience` seconds."""
        began = time.monotonic()
        if self.outages is not None:
            # What strikes a worker that is still starting costs it no trial.
            self.pool.wait_until_joined()
        has_struck = True
        is_over = False
        while not is_over and time.monotonic() - began < patience:
            self._pass(self._random.uniform(*self.pause) if has_struck else MOMENT_SECONDS)
            if self.pool.look_after():
                break
            has_struck = self._strike()
            is_over = sum(self.counts.values()) >= self.strikes or self.kills >= self.max_kills
        self._pass(self.stall + 0.1)
        self.pool.wait(patience - (time.monotonic() - began))

    @property
    def kills(self) -> int:
        """Return how often a worker was killed, stopped or paused."""
        return sum(self.counts[name] for name in KILLS)

    @property
    def missing(self) -> list[str]:
        """Return the possible kinds of strikes that have not happened."""
        return [name for name in self._strikes if not self.counts[name]]

    def _strike(self) -> bool:
        """Strike as drawn. Return False if there was no target."""
        if not self._drawn:
            self._drawn = self._random.sample([*self._strikes], len(self._strikes))
        if not self._strikes[self._drawn[-1]]():
            return False
        self.counts[self._drawn.pop()] += 1
        return True

    def _pass(self, seconds: float) -> None:
        """Let time pass, and continue workers that were paused for long enough."""
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            for pid in [pid for pid, end in self._stalled.items() if end <= now]:
                del self._stalled[pid]
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            self.pool.look_after()
            time.sleep(0.05)

    def _signal(self, name: str) -> bool:
        running = self._running()
        if not running:
            return False
        pid = self._random.choice(running)
        os.kill(pid, signal.Signals[name])
        if name == "SIGSTOP":
            self._stalled[pid] = time.monotonic() + self.stall
        return True

    def _running(self) -> list[int]:
        """Return the process ids of the workers that are alive and not paused."""
        living = [worker.pid for worker in self.pool.workers if worker.poll() is None]
        return [pid for pid in living if pid not in self._stalled]

    def _crash(self) -> bool:
        self.server.stop("immediate")
        self._pass(self._outage())
        self.server.start()
        return True

    def _outage(self) -> float:
        """Return the duration of the next outage, in seconds."""
        shortest, longest = self.outages or (0.5, 0.5)
        return shortest * (longest / shortest) ** self._random.random()

    def _suspend(self) -> bool:
        running = self._running()
        for pid in running:
            os.kill(pid, signal.SIGSTOP)
        self._pass(self._outage())
        for pid in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        return bool(running)

    def _lock(self) -> bool:
        with contextlib.closing(sqlite3.connect(self.file, timeout=20.0, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return False
            self._pass(self._outage())
            connection.execute("ROLLBACK")
        return True

    def _truncate(self) -> bool:
        try:
            file = self._random.choice(sorted(self.checkpoints.iterdir()))
            os.truncate(file, file.stat().st_size // 2)
        except (OSError, IndexError):
            return False
        return True

    def _fill(self) -> bool:
        ballast = self.disk / "ballast"
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(4096)):
                pass
        self._pass(1.5)
        ballast.unlink()
        return True


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """Make the folder a small file system while the block lasts; yields None if it cannot be mounted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    try:
        is_small = subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        is_small = False
    try:
        yield folder if is_small else None
    finally:
        if is_small:
            subprocess.run(["umount", str(folder)], check=True)
