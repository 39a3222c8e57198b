"""A run with worker processes on this machine: this process supervises and shows them, and trains nothing."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from socket import gethostname
from typing import Any

from search.display.screen import Screen
from search.launch.running_worker import RunningWorker, start_worker
from search.launch.supervised_result import exported_metrics, stored_baseline
from search.launch.worker_job import WorkerJob
from search.launch.worker_log import Log, open_logs
from search.run_command import RunCommand
from spaces.errors import StudyError
from spaces.loading import LoadedSpace
from spaces.parameters import Scalar
from spaces.training import METRICS
from studies.database.identities import StudyDeletedError
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
from studies.outcome import Progress, RunResult, WorkerInfo
from studies.settings import Study
from studies.status.monitor import StudyMonitor, StudySnapshot
from studies.stop_request import StopReason, StopRequest, signals
from studies.study_folder import DATABASE_FILE, EXPORT_FOLDER, LOG_FOLDER, ensure_study_folder
from studies.trials.repeats import is_exhausted
from studies.workers.context import WorkerContext
from studies.workers.event_relay import EventRelay, elsewhere
from studies.workers.placement import DeviceAssignment, assign_devices, this_machine
from studies.workers.recycling import memory_per_worker
from studies.workers.run_outcome import no_result_error
from studies.workers.supervisor import TICK_SECONDS, Slot, Supervisor, max_restarts


def supervise(
    call: RunCommand,
    loaded: LoadedSpace,
    settings: Study,
    screen: Screen,
    stop: StopRequest,
    *,
    environ: Mapping[str, str],
    debug: bool,
    started: float,
) -> tuple[RunResult, dict[str, Scalar]]:
    """Search with worker processes until the study is over.

    Args:
        environ: Environment of the workers, without their devices.
        debug: Let the workers log tracebacks.
        started: Reading of `time.monotonic` at the start of the command.

    Returns:
        The result, and the baseline by dotted name.

    Raises:
        SearchError: The workers cannot start, or kept crashing.
    """
    memory: Any = settings.gpu_memory
    machine = this_machine(environ)
    devices = assign_devices(machine, settings.workers, settings.devices, settings.workers_per_gpu, memory)
    name = settings.name or loaded.name
    folder = ensure_study_folder(call.output, name)
    url = settings.storage or sqlite_url(folder / DATABASE_FILE)
    monitor = StudyMonitor(url, name)
    now = monitor.refresh()
    logs = open_logs(folder / LOG_FOLDER, len(devices), now.identity if now else "")
    try:
        run = _Run(
            call, loaded, settings, screen, stop, environ, debug, name, folder, url, devices, logs, monitor, started
        )
        return run.result()
    finally:
        for log in logs:
            log.close()


@dataclass
class _Run:
    call: RunCommand
    loaded: LoadedSpace
    settings: Study
    screen: Screen
    stop: StopRequest
    environ: Mapping[str, str]
    debug: bool
    name: str
    folder: Path
    url: str
    devices: list[DeviceAssignment]
    logs: list[Log]
    monitor: StudyMonitor
    started: float
    pids: set[int] = field(default_factory=set)
    identity: str | None = None
    """Identity of the study that the workers have joined; None before."""
    notices: tuple[str, ...] = ()
    shown: StudySnapshot | None = None
    """Snapshot that was shown last; None until the workers have joined the study."""

    def result(self) -> tuple[RunResult, dict[str, Scalar]]:
        """Run the workers until the study is over. Return the result and the baseline."""
        before = self.monitor.refresh()
        reported = {trial.number for trial in before.ended} if before else set()
        relay = EventRelay(self.screen, self._opening_event, reported)
        supervisor = Supervisor(
            [Slot(log) for log in self.logs],
            start=self._start,
            mark_lost=self.monitor.report_dead_process,
            report=self.screen.on_worker_lost,
            has_joined=lambda: self.identity is not None,
            has_finished_trials=self._has_finished_trials,
            on_event=self._receive,
            database_read_at=lambda: self.monitor.last_read_at,
            max_restarts=max_restarts(self.settings.retries),
            is_deleted=self._is_deleted,
        )
        # The first signal stops the workers, and the second kills them and exits at once.
        with signals(self.stop, self.screen.on_stopping, on_second=supervisor.kill), self.monitor.running():
            self._wait(supervisor, relay)
        if self._is_deleted():
            raise StudyDeletedError
        now = self.monitor.latest
        if now is not None and now.identity == self.identity:
            relay.relay(now, self.pids)
        return self._result(now, before), stored_baseline(self.loaded.space, now)

    def _wait(self, supervisor: Supervisor, relay: EventRelay) -> None:
        def show_and_sleep(seconds: float = TICK_SECONDS) -> None:
            self._show(supervisor, relay)
            time.sleep(seconds)

        try:
            while not self.stop.requested and supervisor.tick():
                show_and_sleep()
            supervisor.end(show_and_sleep)
        finally:
            # After an error; otherwise no process is left.
            supervisor.end()

    def _show(self, supervisor: Supervisor, relay: EventRelay) -> None:
        now = self.monitor.latest
        if now is not None and now is not self.shown and now.identity == self.identity:
            self.shown = now
            relay.relay(now, self.pids, self._processes(supervisor))

    def _processes(self, supervisor: Supervisor) -> list[WorkerInfo]:
        return [
            WorkerInfo(gethostname(), child.pid, place.label, log=str(log.path))
            for slot, log, place in zip(supervisor.slots, self.logs, self.devices, strict=True)
            if (child := slot.child) is not None
        ]

    def _start(self, slot: Slot) -> RunningWorker:
        index = next(index for index, log in enumerate(self.logs) if log is slot.log)
        log, place = self.logs[index], self.devices[index]
        log.begin()
        environ = place.environment_for(self.environ)
        child = start_worker(self._job(slot, log, place), environ, self.settings.storage, log.descriptor)
        self.pids.add(child.pid)
        return child

    def _job(self, slot: Slot, log: Log, place: DeviceAssignment) -> WorkerJob:
        limits: tuple[Any, Any] = (self.settings.gpu_memory, self.settings.max_worker_memory)
        settings = {name: value for name, value in self.call.settings.items() if name != "storage"}
        process = WorkerContext(
            place.label,
            place.share,
            gpu_memory=limits[0] if "CUDA_VISIBLE_DEVICES" in place.environment else None,
            log=str(log.path.absolute()),
            max_trials=self.settings.trials_per_process,
            max_memory=limits[1] or memory_per_worker(len(self.devices)),
            parent=os.getpid(),
            is_replacement=self.identity is not None or slot.is_replacement,
            checks_model=not slot.crashes,
            study=self.identity,
            started=self.started,
        )
        return WorkerJob(log.number, replace(self.call, settings=settings, cache=None), process, debug=self.debug)

    def _receive(self, slot: Slot, event: WorkerEvent) -> None:
        """Note that the workers have joined the study; until it is shown, show what the first one reports."""
        if isinstance(event, StudyJoined) and self.identity is None:
            self.identity, self.notices = event.identity, tuple(event.notices)
            for log in self.logs:
                log.sign(event.identity)
        if slot.log.number != self.logs[0].number or self.shown is not None:
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
        """Return True if the study that the workers had joined no longer exists."""
        now = self.monitor.latest
        return self.shown is not None and (now is None or now.identity != self.identity)

    def _has_finished_trials(self, pid: int) -> bool:
        now = self.monitor.latest
        return now is not None and any(
            worker.finished_trials for worker in now.workers if worker.pid == pid and pid in self.pids
        )

    def _opening_event(self, now: StudySnapshot) -> StudyOpened:
        timeout: Any = self.settings.timeout
        devices = ", ".join(dict.fromkeys(place.label for place in self.devices))
        count = len(self.devices)
        return StudyOpened(
            name=self.name,
            storage=redact_url(self.url),
            metric=self.loaded.space.metric,
            # A worker that joined before this command was started may have finished no trial.
            resumed=bool(now.ended) or now.age_seconds > time.monotonic() - self.started,
            progress=now.progress,
            timeout_seconds=None if timeout is None else timeout - (time.monotonic() - self.started),
            device=f"{count} worker{'s' if count > 1 else ''}: {devices}",
            notices=self.notices,
            identity=now.identity,
        )

    def _result(self, now: StudySnapshot | None, before: StudySnapshot | None) -> RunResult:
        """Return the result, as the database and the export tell it."""
        interrupted = self.stop.requested_by or (StopReason.of_study(now.control.stop_reason) if now else None)
        if now is None and interrupted is None:
            raise StudyError("the workers have finished, but the database is unreachable\nhint: run the command again")
        progress = now.progress if now else Progress(self.settings.trials)
        out_of_time = self.settings.timeout is not None and progress.done < progress.trials
        export, metrics = self.folder / EXPORT_FOLDER, None
        if self.call.export:
            metrics = exported_metrics(export, self.identity, progress, out_of_time=out_of_time)
        if progress.best is None and interrupted is None and metrics is None:
            raise no_result_error(self.name, self.settings.timeout, progress, is_cut_short=out_of_time)
        return RunResult(
            study=self.name,
            metric=self.loaded.space.metric,
            direction=METRICS[self.loaded.space.metric],
            progress=progress,
            metrics=metrics,
            export=export if metrics else None,
            interrupted=interrupted,
            timed_out=progress.done < progress.trials and interrupted is None,
            already_finished=before is not None and before.progress.done >= progress.trials,
            is_exhausted=is_exhausted(self.loaded.space, progress),
            exported_by="" if metrics or now is None or interrupted else elsewhere(now),
        )
