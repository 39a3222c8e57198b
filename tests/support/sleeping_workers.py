"""Workers without Keras: everything of a study except the training, which sleeps; and a pool of such processes.

As a program it takes `SleepSettings` as JSON, prints `ready`, and starts when it reads a line.
"""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from spaces import Float, Space
from studies import Study
from studies.database.claims import TrialQueue
from studies.database.create_study import create_study
from studies.database.study_control import Limits, set_limits
from studies.database.workers import WorkerActivity, WorkerRegistration
from studies.events import RunListener, TrialEnded, TrialStarted
from studies.outcome import COMPLETE, WAITING, Progress, TrialOutcome
from studies.stop_request import StopRequest, signals
from studies.trials.claimed_trial import ClaimedTrial
from studies.workers.heartbeat import worker_session
from studies.workers.worker import Worker
from tests.support.fakes import DATA, TINY, run_context

NAME = "sleeping"


@dataclass(frozen=True)
class SleepSettings:
    """Work of a worker that trains nothing: each epoch of its trials takes some seconds.

    With `is_open_first` it joins the study before the signal to start.
    """

    url: str
    trials: int
    epochs: int = 5
    seconds: float = 0.1
    heartbeat_seconds: float = 0.3
    lost_after_seconds: float = 2.0
    is_open_first: bool = False

    @property
    def command(self) -> list[str]:
        """Return the command line of such a worker."""
        return [sys.executable, "-m", "tests.support.sleeping_workers", json.dumps(asdict(self))]


@dataclass
class SleepingEvaluator:
    """Evaluates a trial to a value that its recipe determines, and resumes a trial after its last epoch."""

    plan: SleepSettings
    stop: StopRequest

    def __call__(self, trial: ClaimedTrial, recipe: Space, before: Progress) -> TrialOutcome:
        value = 0.0
        epochs = self.plan.epochs
        for epoch in range(trial.last_reported_step + 1, epochs + 1):
            time.sleep(self.plan.seconds)
            value = value_of(recipe.dropout, epoch)
            trial.report(value, epoch)
            trial.storage.record_epoch(epoch, {"loss": 1.0 - value})
            if epoch < epochs and not trial.write():
                raise trial.claim_lost or RuntimeError("not written")
            if epoch < epochs and self.stop():
                return TrialOutcome(WAITING, None, None, epoch, 0.0, self.stop.requested_by or "time")
        return TrialOutcome(COMPLETE, value, epochs, epochs, 0.0)


def value_of(dropout: float | Float, epoch: int) -> float:
    """Return the value that a trial reports after an epoch."""
    return 1.0 - float(dropout) - 0.1 / epoch  # type: ignore[arg-type]


class PrintingListener(RunListener):
    """Prints when trials start and how they end."""

    def on_trial_started(self, event: TrialStarted) -> None:
        print(f"{time.time():.3f} began {event.number}", flush=True)

    def on_trial_ended(self, event: TrialEnded) -> None:
        print(f"{time.time():.3f} {event.outcome.state} {event.number} {event.outcome.reason}", flush=True)


def work(plan: SleepSettings) -> None:
    """Work until the study is over or a stop is requested."""
    settings = Study(trials=plan.trials, sampler="random", pruner="none")
    stop, activity = StopRequest(), WorkerActivity()
    with signals(stop):
        opened = create_study(plan.url, NAME, TINY, settings, DATA)
        set_limits(opened.database, opened.study_id, Limits(plan.trials))
        member = WorkerRegistration(opened.study_id, "none", lost_after_seconds=plan.lost_after_seconds)
        with worker_session(opened.database, member, activity, stop, seconds=plan.heartbeat_seconds):
            print(f"{time.time():.3f} joined", flush=True)
            if plan.is_open_first:
                sys.stdin.readline()
            # It is killed on purpose, again and again.
            queue = TrialQueue(opened.database, member, max_retries=1000)
            context = run_context(PrintingListener(), stop, activity=activity)
            Worker(opened, TINY, settings, queue, SleepingEvaluator(plan, stop), context).run()
    print(f"{time.time():.3f} over", flush=True)
    sys.exit(143 if stop.requested else 0)


@dataclass
class WorkerPool:
    """Worker processes of one command; those that crash before the study is over are replaced, as by a supervisor.

    Their logs are written into a folder. After `most_starts` starts none is replaced.
    """

    command: list[str]
    folder: Path
    size: int
    environment: dict[str, str] | None = None
    most_starts: int = 1000
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    started: int = 0

    def start(self) -> None:
        """Start all of them."""
        self.workers = [self._new() for _ in range(self.size)]

    def _new(self) -> subprocess.Popen[bytes]:
        self.started += 1
        with (self.folder / f"worker-{self.started}.log").open("wb") as log:
            pipes = {"stdin": subprocess.PIPE, "stdout": log, "stderr": subprocess.STDOUT}
            worker = subprocess.Popen(self.command, **pipes, env=self.environment)
        worker.stdin.write(b"go\n")
        worker.stdin.close()
        return worker

    def look_after(self) -> bool:
        """Replace those that crashed. Return True if any has found the study over."""
        codes = [worker.poll() for worker in self.workers]
        if 0 in codes:
            return True
        for index, code in enumerate(codes):
            if code is not None and self.started < self.most_starts:
                self.workers[index] = self._new()
        return False

    def wait(self, seconds: float) -> None:
        """Replace those that crash until all have found the study over.

        Raises:
            TimeoutError: The study was not over in time.
        """
        deadline = time.monotonic() + seconds
        while not self.look_after() or any(worker.poll() is None for worker in self.workers):
            if time.monotonic() > deadline:
                self._show_where()
                raise TimeoutError(f"the study was not over after {seconds} seconds:\n{self.output()[-3000:]}")
            time.sleep(0.2)

    def wait_until_joined(self, seconds: float = 120.0) -> None:
        """Wait until all workers have joined the study, at most for this many seconds."""
        deadline = time.monotonic() + seconds
        while self.output().count(" joined\n") < self.size and time.monotonic() < deadline:
            time.sleep(0.1)

    def _show_where(self) -> None:
        """Let the remaining ones print their stacks, where PYTHONFAULTHANDLER is set."""
        for worker in self.workers:
            worker.send_signal(signal.SIGABRT)
        time.sleep(1.0)

    def end(self) -> None:
        """Kill the remaining ones."""
        for worker in self.workers:
            worker.kill()
            worker.wait()

    def output(self) -> str:
        """Return what all of them printed."""
        return "".join(log.read_text(errors="replace") for log in sorted(self.folder.glob("worker-*.log")))


def main() -> None:
    """Wait for the signal to start, and work."""
    plan = SleepSettings(**json.loads(sys.argv[1]))
    if not plan.is_open_first:
        print(f"ready {os.getpid()}", flush=True)
        sys.stdin.readline()
    work(plan)


if __name__ == "__main__":
    main()
