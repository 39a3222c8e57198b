"""Runs `search run`: from a space file to a result, resuming where the last run ended."""

import math
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from spaces.errors import NoResultError
from spaces.loading import LoadedSpace
from spaces.open_space import is_open
from spaces.source_fingerprint import keep
from spaces.space import Space, baseline, resolve
from spaces.training import METRICS
from studies.checkpoints.stores import store_of_study
from studies.checkpoints.study_checkpoints import StudyCheckpoints
from studies.data.dataset import identity
from studies.database import stored_trials
from studies.database.claims import TrialQueue
from studies.database.create_study import create_study
from studies.database.errors import translate_errors
from studies.database.identities import explain_deletion
from studies.database.local_process import uptime
from studies.database.open_study import OpenStudy
from studies.database.study_control import Limits, set_limits
from studies.database.transactions import RETRY_TIMEOUT
from studies.database.urls import redact_url, sqlite_url
from studies.database.workers import WorkerRegistration
from studies.events import RunListener, StudyOpened
from studies.export import election
from studies.export.election import Exporter
from studies.export.export_folder import is_untested
from studies.features.inputs import FeatureInputs
from studies.outcome import Activity, Best, Progress, RunResult
from studies.preflight import prepare
from studies.settings import Study
from studies.stop_request import StopRequest
from studies.study_folder import DATABASE_FILE, EXPORT_FOLDER, StudyRef, ensure_study_folder
from studies.trials.dataset_loader import DatasetLoader
from studies.trials.repeats import max_distinct_trials
from studies.trials.run_context import RunContext
from studies.trials.run_time_budget import TimeBudget, reserve_time_for_best, time_limit_message, times_slower
from studies.trials.samplers import initial_assignments
from studies.trials.space_checks import notices_of_code
from studies.workers.context import STANDALONE, WorkerContext
from studies.workers.heartbeat import worker_session
from studies.workers.recycling import should_restart
from studies.workers.run_outcome import outcome, wait_for_others

STOPPING_RETRY_TIMEOUT = 4.0


def run(
    declared: LoadedSpace,
    settings: Study,
    *,
    output: Path,
    export: bool,
    listener: RunListener,
    stop: StopRequest,
    process: WorkerContext = STANDALONE,
) -> RunResult:
    """Search the space until all trials are evaluated, then retrain, test and export the best one.

    Args:
        declared: Space and its folder.
        settings: Settings of the study.
        output: Folder of all studies; that of this one is `output/<study>/`.
        export: True to retrain, test and export the best trial.
        listener: Notified of all events.
        stop: Stop request; its deadline is set here if the settings have a time limit.
        process: Role of this process among the workers.

    Raises:
        SearchError: An error that the user can fix; finished trials are kept.
    """
    keep(declared.space)
    name = settings.name or declared.name
    folder = ensure_study_folder(output, name)
    url = settings.storage or sqlite_url(folder / DATABASE_FILE)
    datasets = DatasetLoader(declared.folder, listener, stop)
    features = FeatureInputs(declared.folder, datasets.features_progress)
    context = RunContext(declared.folder, settings.seed, listener, stop, datasets, features)
    timeout: Any = settings.timeout
    started = stop.clock() if process.started is None else process.started
    if timeout is not None:
        # Until the study is open: its limit may have started with another worker.
        stop.deadline = started + timeout
    process = replace(process, started=started)
    try:
        current = _Run(declared, settings, name, url, folder, context, export, process)
        return replace(current.result(), space=current.declared.space)
    except KeyboardInterrupt:
        if not stop():
            raise
        if not stop.requested:
            raise NoResultError(time_limit_message(settings.timeout, datasets.state())) from None
        # A signal during the preparation: no trial has started yet.
        metric = declared.space.metric
        return RunResult(name, metric, METRICS[metric], Progress(settings.trials), None, None, stop.requested_by)


@dataclass
class _Run:
    declared: LoadedSpace
    settings: Study
    name: str
    url: str
    folder: Path
    context: RunContext
    export: bool
    process: WorkerContext
    _unfinished: Best | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        # On a clock that does not stop while the machine is suspended.
        self.stop = self.context.stop
        self.began = uptime() - (self.stop.clock() - (self.process.started or self.stop.clock()))
        self.checkpoints = StudyCheckpoints(store_of_study(self.settings.checkpoints, self.folder))
        self._cpu_at_start, self._cpu_seconds = time.thread_time(), 0.0
        self._budget = TimeBudget(self.stop, self.export, lambda: times_slower(self._cpu_seconds))

    def result(self) -> RunResult:
        """Run all steps in order."""
        if is_open(self.declared.space):
            from studies.planning.plan_study import plan_study

            ref = StudyRef(self.name, self.url, self.folder)
            self.declared, self.settings = plan_study(self.declared, self.settings, ref, self.context.listener)
        given = (self.declared, self.settings, self.context, self.process)
        prepared = prepare(*given, export=self.export, check_time=self._check_time)
        space = prepared.space
        how = (self.settings, identity(prepared.dataset), self._retry_timeout, self.process.study)
        opened = create_study(self.url, self.name, space, *how, corrects=True)
        self.checkpoints = self.checkpoints.for_study(opened.identity)
        self.context = replace(self.context, checkpoints=self.checkpoints)
        sampler = self.settings.sampler
        fixed = len(initial_assignments(space, sampler, self.settings.seed, self.settings.first))
        limit = max_distinct_trials(space, opened.study.get_trials(deepcopy=False), sampler, fixed)
        total = int(min(self.settings.trials, limit))
        with translate_errors(self.url), explain_deletion(opened.database, opened.study_id, opened.identity):
            self._apply_limits(opened, total)
            with self._session(opened) as member:
                before = opened.progress(TrialQueue(opened.database, member).trial_budget())
                self._announce(opened, before, limit, prepared.notices)
                is_over = self._search(opened, space, member)
                if is_over:
                    wait_for_others(opened.study, self.stop)
                now = opened.progress(TrialQueue(opened.database, member).trial_budget())
                result = self._outcome(space, now, before)
                if not is_over:
                    return replace(result, should_restart=True)
                if self._wants_export(result):
                    return self._export_best(opened, space, result, member)
                early = self.folder / EXPORT_FOLDER
                return replace(result, untested=early) if is_untested(early, opened.identity) else result

    def _check_time(self) -> None:
        """Raise if the time limit is reached and there is no study of an earlier run."""
        if self.stop.out_of_time and self.settings.storage is None and not (self.folder / DATABASE_FILE).exists():
            raise NoResultError(time_limit_message(self.settings.timeout, "before the search began"))

    def _retry_timeout(self) -> float:
        """Return how long to retry a database, in seconds: short after a stop request."""
        return STOPPING_RETRY_TIMEOUT if self.stop.requested else RETRY_TIMEOUT

    def _apply_limits(self, opened: OpenStudy, total: int) -> None:
        """Set the limits of the study, and stop if it was stopped after this command was started."""
        stopped_by = set_limits(
            opened.database,
            opened.study_id,
            self._limits(total),
            is_restart=self.process.is_replacement,
            age_seconds=lambda: uptime() - self.began,
        )
        if stopped_by:
            self.stop.request(stopped_by)

    def _limits(self, total: int) -> Limits:
        # The limit is that of the whole command.
        left, hours = self.stop.seconds_left, self.settings.gpu_hours
        return Limits(total, None if math.isinf(left) else left, None if hours is None else hours * 3600)

    def _session(self, opened: OpenStudy) -> AbstractContextManager[WorkerRegistration]:
        from studies.backend import device_info

        member = WorkerRegistration(
            opened.study_id,
            self.process.device or device_info.describe_device(),
            device_share=self.process.device_share,
            lost_after_seconds=self.settings.lost_after_seconds,
            log=self.process.log,
            identity=opened.identity,
        )
        return worker_session(
            opened.database,
            member,
            self.context.activity,
            self.stop,
            seconds=self.settings.heartbeat_seconds,
            parent_is_alive=self.process.parent_is_alive,
        )

    def _announce(self, opened: OpenStudy, before: Progress, limit: float, found: Sequence[str]) -> None:
        from studies.backend import device_info

        of_code = [] if opened.resumed else notices_of_code(self.declared.space)
        of_folder = (*election.notices(self.folder / EXPORT_FOLDER, opened.identity), *self.checkpoints.notices())
        notices = [*opened.notices, *found, *of_code, *of_folder]
        if limit < self.settings.trials and self.settings.sampler != "stepwise":
            kind = "grid" if self.settings.sampler == "grid" else "space"
            notices.append(f"The {kind} has {limit:.0f} recipes: {limit:.0f} trials evaluate all of them.")
        left = self.stop.seconds_left
        event = StudyOpened(
            name=opened.name,
            storage=redact_url(opened.url),
            metric=self.declared.space.metric,
            resumed=opened.resumed,
            progress=before,
            timeout_seconds=None if math.isinf(left) else left,
            device=device_info.describe_device(),
            notices=tuple(notices),
            identity=opened.identity,
        )
        self.context.listener.on_study_opened(event)

    def _search(self, opened: OpenStudy, space: Space, member: WorkerRegistration) -> bool:
        """Evaluate trials. Return True if the search is over for this process."""
        from studies.export.early_export import EarlyExports
        from studies.planning.step_time import StepTime
        from studies.trials.evaluate import TrialEvaluator
        from studies.workers.worker import Worker

        settings, stop = self.settings, self.stop
        self._cpu_seconds = time.thread_time() - self._cpu_at_start
        points = initial_assignments(space, settings.sampler, settings.seed, settings.first)
        queue = TrialQueue(opened.database, member, points, settings.retries)
        evaluate = TrialEvaluator(self.context, self._budget, exports=self.export)
        self._budget.begin()
        dataset = self.context.datasets(resolve(space, baseline(space)))
        reserve_time = partial(reserve_time_for_best, self._budget, opened.study, space, dataset)
        early = EarlyExports(opened, space, self.folder / EXPORT_FOLDER, self.context)
        step_time = StepTime(opened.study, space, settings, stop)
        reserve_time(stored_trials.progress(opened.study, settings.trials))
        seconds_to_start = stop.clock() - (self.process.started or stop.clock())
        worker = Worker(
            opened,
            space,
            settings,
            queue,
            evaluate,
            self.context,
            can_start=lambda: self._budget.has_time_to_begin() and step_time.fits(),
            ended=(reserve_time, early.trial_ended) if self.export else (reserve_time,),
            should_restart=lambda evaluated: (
                should_restart(self.process, evaluated) and self._budget.has_time_to_restart(seconds_to_start)
            ),
        )
        try:
            is_over = worker.run()
            now = stored_trials.progress(opened.study, queue.trial_budget())
            if is_over and not stop() and now.done >= now.trials:
                # Checkpoints of stalled workers; the retraining of the best trial resumes from its own.
                self.checkpoints.delete_except([now.best.number] if now.best else [])
            return is_over
        except KeyboardInterrupt:
            # A stop request or the time limit while images were read for a trial, which is requeued.
            if not stop():
                raise
            return True
        finally:
            self._unfinished = evaluate.unfinished

    def _outcome(self, space: Space, now: Progress, before: Progress) -> RunResult:
        # Another worker may have a result; the supervisor sees them all.
        is_silent = self._unfinished is not None or (self.process.parent is not None and now.done < now.trials)
        return outcome(self.name, space, self.settings, now, before, self.stop, needs_best=not is_silent)

    def _wants_export(self, result: RunResult) -> bool:
        has_model = result.progress.best is not None or self._unfinished is not None
        return self.export and has_model and result.interrupted is None

    def _export_best(self, opened: OpenStudy, space: Space, result: RunResult, member: WorkerRegistration) -> RunResult:
        retrains = self._budget.end_search() and result.progress.best is not None
        self.context.activity.activity = Activity.EXPORTING
        exporter = Exporter(
            opened=opened,
            worker=member,
            target=self.folder / EXPORT_FOLDER,
            context=self.context,
            has_time=self._budget.has_time_to_write,
        )
        return exporter.export(space, result, retrains=retrains, unfinished=self._unfinished)
