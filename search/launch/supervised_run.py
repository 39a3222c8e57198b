"""A run with several worker processes on this machine: this one starts, watches and shows them, and trains nothing."""

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socket import gethostname
from typing import Any

from search.display.screen import Screen
from search.launch.running_worker import RunningWorker, start_worker
from search.launch.worker_job import WorkerJob
from search.launch.worker_log import Log, open_logs
from search.run_command import RunCommand
from spaces import baseline
from spaces.errors import NoResultError, StudyError
from spaces.loading import LoadedSpace
from spaces.parameters import Scalar
from spaces.training import METRICS
from studies.database.identities import StudyDeletedError
from studies.database.stored_trials import params_of
from studies.database.urls import redact_url, sqlite_url
from studies.events import (
    DataProgress,
    DataReady,
    FeaturesProgress,
    StudyJoined,
    StudyOpened,
    WorkerEvent,
    WorkerLine,
)
from studies.export.export_folder import STUDY_ID
from studies.outcome import Progress, RunResult, WorkerInfo
from studies.settings import Study
from studies.status.monitor import StudyMonitor, StudySnapshot
from studies.stop_request import StopReason, StopRequest, signals
from studies.study_folder import DATABASE_FILE, EXPORT_FOLDER, LOG_FOLDER, ensure_study_folder
from studies.trials.repeats import is_exhausted
from studies.trials.time_budget import too_short
from studies.workers.event_relay import EventRelay, elsewhere
from studies.workers.placement import DeviceAssignment, assign_devices, this_machine
from studies.workers.recycling import memory_per_worker
from studies.workers.supervisor import TICK_SECONDS, Slot, Supervisor, max_restarts


def supervise(
    call: RunCommand,
    loaded: LoadedSpace,
    study: Study,
    screen: Screen,
    stop: StopRequest,
    *,
    environ: Mapping[str, str],
    debug: bool,
    started: float,
) -> tuple[RunResult, dict[str, Scalar]]:
    """Search with worker processes until the study is over.

    Args:
        call: What was typed.
        loaded: The space.
        study: How it is searched.
        screen: Shows it.
        stop: Asks for an end.
        environ: The environment of the workers, but for their devices.
        debug: Let the workers write tracebacks.
        started: Reading of `time.monotonic` when the command began.

    Returns:
        The outcome, and the defaults of the space by dotted name.

    Raises:
        SearchError: The workers cannot work, or died again and again.
    """
    sizes: Any = study.gpu_memory
    chosen = assign_devices(this_machine(environ), study.workers, study.devices, study.workers_per_gpu, sizes)
    name = study.name or loaded.name
    folder = ensure_study_folder(call.output, name)
    looking = StudyMonitor(study.storage or sqlite_url(folder / DATABASE_FILE), name)
    now = looking.look()
    logs = open_logs(folder / LOG_FOLDER, len(chosen), now.identity if now else "")
    try:
        run = _Run(call, loaded, study, screen, stop, environ, debug, name, folder, chosen, logs, looking, started)
        return run.result()
    finally:
        for log in logs:
            log.close()


@dataclass
class _Run:
    call: RunCommand
    loaded: LoadedSpace
    study: Study
    screen: Screen
    stop: StopRequest
    environ: Mapping[str, str]
    debug: bool
    name: str
    folder: Path
    places: list[DeviceAssignment]
    logs: list[Log]
    looking: StudyMonitor
    started: float
    pids: set[int] = field(default_factory=set)
    identity: str | None = None
    """Identity of the study that the workers have joined; None before."""
    notices: tuple[str, ...] = ()
    seen: StudySnapshot | None = None

    def result(self) -> tuple[RunResult, dict[str, Scalar]]:
        """Everything, in order."""
        before = self.looking.look()
        teller = EventRelay(self.screen, self._opened, {trial.number for trial in before.ended} if before else set())
        supervisor = Supervisor(
            [Slot(log) for log in self.logs],
            start=self._start,
            give_up=self.looking.give_up,
            tell=self.screen.on_worker_lost,
            has_joined=lambda: self.identity is not None,
            has_ended_trials=self._has_ended_trials,
            on_event=self._receive,
            looked_at=lambda: self.looking.looked_at,
            max_restarts=max_restarts(self.study.retries),
            is_deleted=self._is_deleted,
        )
        with self._signals(supervisor), self.looking.resumed():
            self._wait(supervisor, teller)
        if self._is_deleted():
            raise StudyDeletedError
        now = self.looking.latest
        if now is not None and now.identity == self.identity:
            teller.tell(now, self.pids)
        return self._result(now, before), self._defaults(now)

    def _wait(self, supervisor: Supervisor, teller: EventRelay) -> None:
        def tell_and_sleep(seconds: float = TICK_SECONDS) -> None:
            self._tell(supervisor, teller)
            time.sleep(seconds)

        try:
            while not self.stop.requested and supervisor.tick():
                tell_and_sleep()
            supervisor.end(tell_and_sleep)
        finally:
            # After an error; else there is nobody left.
            supervisor.end()

    def _tell(self, supervisor: Supervisor, teller: EventRelay) -> None:
        now = self.looking.latest
        if now is not None and now is not self.seen and now.identity == self.identity:
            self.seen = now
            teller.tell(now, self.pids, self._processes(supervisor))

    def _processes(self, supervisor: Supervisor) -> list[WorkerInfo]:
        return [
            WorkerInfo(gethostname(), child.pid, place.label, log=str(log.path))
            for slot, log, place in zip(supervisor.slots, self.logs, self.places, strict=True)
            if (child := slot.child) is not None
        ]

    @contextmanager
    def _signals(self, supervisor: Supervisor) -> Iterator[None]:
        """The first signal asks the workers to end, the second kills them and leaves at once."""
        with signals(self.stop, self.screen.on_stopping, on_second=supervisor.kill):
            yield

    def _start(self, slot: Slot) -> RunningWorker:
        index = next(index for index, log in enumerate(self.logs) if log is slot.log)
        log, place = self.logs[index], self.places[index]
        log.begin()
        environ = place.environment_for(self.environ)
        child = start_worker(self._job(slot, log, place), environ, self.study.storage, log.descriptor)
        self.pids.add(child.pid)
        return child

    def _job(self, slot: Slot, log: Log, place: DeviceAssignment) -> WorkerJob:
        sizes: tuple[Any, Any] = (self.study.gpu_memory, self.study.max_worker_memory)
        return WorkerJob(
            number=log.number,
            target=self.call.target,
            output=str(self.call.output),
            log=str(log.path.absolute()),
            parent=os.getpid(),
            memory=sizes[1] or memory_per_worker(len(self.places)),
            trials=self.study.trials_per_process,
            settings={name: value for name, value in self.call.settings.items() if name != "storage"},
            export=self.call.export,
            data=self.call.data,
            test=self.call.test,
            device=place.label,
            device_share=place.share,
            gpu_memory=sizes[0] if "CUDA_VISIBLE_DEVICES" in place.environment else None,
            is_replacement=self.identity is not None or slot.is_replacement,
            checks_model=not slot.crashes,
            study=self.identity,
            debug=self.debug,
            started=self.started,
        )

    def _receive(self, slot: Slot, event: WorkerEvent) -> None:
        """Note when a worker has joined; show what the first one reports until then, which may take minutes."""
        if isinstance(event, StudyJoined) and self.identity is None:
            self.identity, self.notices = event.identity, tuple(event.notices)
            for log in self.logs:
                log.sign(event.identity)
        if slot.log.number != self.logs[0].number or self.seen is not None:
            return
        match event:
            case DataProgress(done, total):
                self.screen.on_data_progress(done, total)
            case DataReady():
                self.screen.on_data_ready(event)
            case FeaturesProgress(done, total):
                self.screen.on_features_progress(done, total)
            case WorkerLine(label, text):
                self.screen.on_worker_output(label, text)

    def _is_deleted(self) -> bool:
        """Return True if the study is gone that our processes have worked on."""
        now = self.looking.latest
        return self.seen is not None and (now is None or now.identity != self.identity)

    def _has_ended_trials(self, pid: int) -> bool:
        now = self.looking.latest
        return now is not None and any(
            worker.finished_trials for worker in now.workers if worker.pid == pid and pid in self.pids
        )

    def _opened(self, now: StudySnapshot) -> StudyOpened:
        timeout: Any = self.study.timeout
        devices = ", ".join(dict.fromkeys(place.label for place in self.places))
        count = len(self.places)
        return StudyOpened(
            name=self.name,
            storage=redact_url(self.study.storage or sqlite_url(self.folder / DATABASE_FILE)),
            metric=self.loaded.space.metric,
            direction=METRICS[self.loaded.space.metric],
            # A worker joined before this command was started: it may have ended no trial.
            resumed=bool(now.ended) or now.age_seconds > time.monotonic() - self.started,
            progress=now.progress,
            timeout_seconds=None if timeout is None else timeout - (time.monotonic() - self.started),
            device=f"{count} worker{'s' if count > 1 else ''}: {devices}",
            sampler=self.study.sampler,
            pruner=self.study.pruner,
            seed=self.study.seed,
            notices=self.notices,
            identity=now.identity,
        )

    def _result(self, now: StudySnapshot | None, before: StudySnapshot | None) -> RunResult:
        """What the database and the export say."""
        interrupted = self.stop.requested_by or (StopReason.of_study(now.control.stop_reason) if now else None)
        if now is None and interrupted is None:
            raise StudyError("the workers have ended, but the database of the study does not answer: start again")
        progress = now.progress if now else Progress(self.study.trials)
        metrics = self._metrics(progress)
        if progress.best is None and interrupted is None and metrics is None:
            if self.study.timeout is not None and progress.done < progress.trials:
                raise NoResultError(too_short(self.study.timeout, "before one trial was complete"))
            ended = f"{progress.pruned} pruned, {progress.failed} failed"
            raise NoResultError(f"the search ended without one complete trial ({ended}): see search trials {self.name}")
        return RunResult(
            study=self.name,
            metric=self.loaded.space.metric,
            direction=METRICS[self.loaded.space.metric],
            progress=progress,
            metrics=metrics,
            export=self.folder / EXPORT_FOLDER if metrics else None,
            interrupted=interrupted,
            timed_out=progress.done < progress.trials and interrupted is None,
            already_finished=before is not None and before.progress.done >= progress.trials,
            is_exhausted=is_exhausted(self.loaded.space, progress),
            exported_by="" if metrics or now is None or interrupted else elsewhere(now),
        )

    def _metrics(self, progress: Progress) -> dict[str, Any] | None:
        """What the export in this study's folder says of itself, if it is of the best trial of all that ended."""
        try:
            stored: dict[str, Any] = json.loads(
                (self.folder / EXPORT_FOLDER / "metrics.json").read_text(encoding="utf-8")
            )
        except (OSError, ValueError):
            return None
        is_own = self.identity is not None and stored.get(STUDY_ID) == self.identity
        if not self.call.export or not is_own or not {"best", "trials", "test"} <= stored.keys():
            return None
        is_of_these = sum(stored["trials"].values()) == progress.done
        if progress.best is None:
            # Of a trial that was stopped within its first epoch.
            return stored if is_of_these and not stored.get("weights", {}).get("complete", True) else None
        # Without time to retrain, an earlier export of the same trial stays.
        is_kept = is_of_these or (self.study.timeout is not None and progress.done < progress.trials)
        return stored if is_kept and stored["best"]["number"] == progress.best.number else None

    def _defaults(self, now: StudySnapshot | None) -> dict[str, Scalar]:
        """The baseline: trial 0 also has the hyperparameters of a hypermodel, which are found while it is built."""
        first = next((trial for trial in now.ended if trial.number == 0), None) if now else None
        return {**(params_of(first) if first else {}), **baseline(self.loaded.space)}
