"""One call of `search run`: from a declared space to a result, going on where the last call ended."""

import contextlib
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import filelock
import optuna

from spaces.canonical import to_json
from spaces.errors import NoResultError, OutputError, StudyError
from spaces.keras_tuner import KerasTunerModel
from spaces.space import Recipe, Space, baseline, resolve
from spaces.training import METRICS
from studies import trials
from studies.backend import require_backend
from studies.checks import check_fine_tuning, check_metric, check_weights, fitted
from studies.data import Dataset, identity, load
from studies.data.folds import check_folds
from studies.events import Progress, StudyOpened, Watcher
from studies.features import Features
from studies.opening import OpenStudy, open_study
from studies.results import Result
from studies.sampling import most_trials, seed_of
from studies.stopping import StopRequest
from studies.storage import engine_of, explained, lock_file, shown, sqlite_url, study_folder
from studies.study import Study
from studies.tables import create_tables, read_epochs


class Declared(Protocol):
    """What a space file declares."""

    @property
    def name(self) -> str:
        """Name of the space."""

    @property
    def space(self) -> Space:
        """What is searched."""

    @property
    def folder(self) -> Path:
        """Where relative paths start."""


def run(
    declared: Declared, settings: Study, *, output: Path, export: bool, watcher: Watcher, stop: StopRequest
) -> Result:
    """Search the space until all trials are evaluated, then retrain, test and export the best.

    Args:
        declared: The space and where it stands.
        settings: How it is searched.
        output: Folder of all studies; this one's is `output/<study>/`.
        export: Retrain, test and export the best trial.
        watcher: Is told what happens.
        stop: Asks for an end; its deadline is set here when the settings have a time limit.

    Raises:
        SearchError: Anything that the user can mend; finished trials are kept.
    """
    name = settings.name or declared.name
    folder = study_folder(output, name)
    url = settings.storage or sqlite_url(folder / "study.db")
    images = _Images(declared.folder, watcher, stop)
    with _alone(lock_file(url, name) or folder / ".lock", name):
        try:
            return _Run(declared, settings, name, url, folder, images, watcher, stop, export).result()
        except KeyboardInterrupt:
            if not stop.requested:
                raise
            # A signal during the preparation: nothing has begun yet.
            metric = declared.space.metric
            return Result(name, metric, METRICS[metric], Progress(settings.trials), None, None, stop.signal_name)


@dataclass
class _Images:
    """Loads the images of a recipe once."""

    folder: Path
    watcher: Watcher
    stop: StopRequest
    _loaded: dict[Any, Dataset] = field(default_factory=dict)

    def __call__(self, recipe: Recipe) -> Dataset:
        if recipe.data not in self._loaded:
            self._loaded[recipe.data] = load(recipe.data, self.folder, progress=self._progress)
        return self._loaded[recipe.data]

    def _progress(self, done: int, total: int) -> None:
        if self.stop():
            raise KeyboardInterrupt
        self.watcher.data_progress(done, total)

    def features_progress(self, done: int, total: int) -> None:
        """Show it, or end the computing."""
        if self.stop():
            raise KeyboardInterrupt
        self.watcher.features_progress(done, total)


@dataclass
class _Run:
    declared: Declared
    settings: Study
    name: str
    url: str
    folder: Path
    images: _Images
    watcher: Watcher
    stop: StopRequest
    export: bool

    def __post_init__(self) -> None:
        self.features = Features(self.declared.folder, self.images.features_progress)

    def result(self) -> Result:
        """Everything, in order."""
        check_weights(self.declared.space, self.declared.folder)
        check_fine_tuning(self.declared.space)
        self._check_hypermodel()
        dataset = self.images(resolve(self.declared.space, baseline(self.declared.space)))
        self.watcher.data_ready(dataset)
        check_metric(self.declared.space.metric, dataset)
        if self.declared.space.folds:
            check_folds(dataset, self.declared.space.folds)
        space = fitted(self.declared.space, len(dataset.train))
        limit = most_trials(space, self.settings.sampler)
        require_backend()
        opened = open_study(self.url, self.name, space, self.settings, identity(dataset))
        total = int(min(self.settings.trials, limit))
        with explained(self.url):
            create_tables(engine_of(opened.study))
            before = trials.progress(opened.study, total)
            self._announce(opened, before, limit, dataset.duplicates.notices())
            self._search(opened, space, total)
            now = trials.progress(opened.study, total)
            result = self._outcome(space, now, already_finished=before.done >= total)
            return self._exported(opened, space, result) if self._wants_export(result) else result

    def _check_hypermodel(self) -> None:
        if isinstance(self.declared.space.model, KerasTunerModel):
            # Keras and KerasTuner are imported only where they are needed.
            require_backend()
            from studies.keras_tuner.suggesting import check_hypermodel

            check_hypermodel(self.declared.space)

    def _announce(self, opened: OpenStudy, before: Progress, limit: float, of_data: Sequence[str]) -> None:
        from studies import device

        timeout: Any = self.settings.timeout
        if timeout is not None:
            self.stop.deadline = self.stop.clock() + timeout
        notices = [*of_data]
        if limit < self.settings.trials:
            notices.append(f"The grid has {limit:.0f} points: {limit:.0f} trials evaluate all of it.")
        self.watcher.study_opened(
            StudyOpened(
                name=self.name,
                storage=shown(opened.url),
                metric=self.declared.space.metric,
                direction=METRICS[self.declared.space.metric],
                resumed=opened.resumed,
                progress=before,
                timeout_seconds=timeout,
                device=device.describe(),
                sampler=self.settings.sampler,
                pruner=self.settings.pruner,
                seed=self.settings.seed,
                notices=tuple(notices),
            )
        )

    def _search(self, opened: OpenStudy, space: Space, total: int) -> None:
        from studies.objective import Objective
        from studies.worker import Worker

        study, stop = opened.study, self.stop
        evaluate = Objective(
            study, self.settings.seed, self.declared.folder, self.images, self.watcher, stop, self.features
        )
        try:
            Worker(study, space, self.settings, total, evaluate, self.watcher, stop).run()
        except KeyboardInterrupt:
            # An end asked for, or time over, while images were read for a trial, which waits.
            if not stop():
                raise

    def _outcome(self, space: Space, now: Progress, already_finished: bool) -> Result:
        if now.best is None and not self.stop.requested:
            if self.stop.out_of_time:
                raise NoResultError(
                    f"the time limit was reached before one trial was complete: run it again with a longer --timeout; "
                    f"what was read and trained is kept, see search trials {self.name}"
                )
            ended = f"{now.pruned} pruned, {now.failed} failed"
            raise NoResultError(f"the search ended without one complete trial ({ended}): see search trials {self.name}")
        return Result(
            study=self.name,
            metric=space.metric,
            direction=METRICS[space.metric],
            progress=now,
            metrics=None,
            export=None,
            interrupted=self.stop.signal_name,
            timed_out=now.done < now.trials and not self.stop.requested,
            already_finished=already_finished,
        )

    def _wants_export(self, result: Result) -> bool:
        return self.export and result.progress.best is not None and result.interrupted is None

    def _exported(self, opened: OpenStudy, space: Space, result: Result) -> Result:
        """The result with its export: the one that is there if it is of the same trial, else a new one."""
        from studies.retraining import Found, retrain_and_export

        best = result.progress.best
        if best is None:
            return result
        # The time limit is the search's.
        self.stop.deadline = None
        target = self.folder / "best"
        recipe = resolve(space, best.params)
        stored = stored_metrics(target, recipe)
        if stored and stored["best"] == asdict(best) and stored["trials"] == _counts(result.progress):
            return replace(result, metrics=stored, export=target)
        found = Found(
            study=self.name,
            metric=result.metric,
            direction=result.direction,
            progress=result.progress,
            recipe=recipe,
            seed=seed_of(self.settings.seed, best.number),
            search_seconds=trials.total_seconds(opened.study),
            epochs=_epochs(opened.study, {0, best.number}),
        )
        metrics = retrain_and_export(
            found,
            self.images(recipe),
            folder=self.declared.folder,
            best_folder=target,
            watcher=self.watcher,
            stop=lambda: self.stop.requested,
            features=self.features,
        )
        return replace(result, metrics=metrics, export=target if metrics else None, interrupted=self.stop.signal_name)


def stored_metrics(export: Path, recipe: Recipe) -> dict[str, Any] | None:
    """What an earlier export says of itself, or None when it is of another recipe, incomplete or unreadable."""
    if not (export / "model.keras").is_file():
        return None
    try:
        stored: dict[str, Any] = json.loads((export / "metrics.json").read_text(encoding="utf-8"))
        same = json.loads((export / "recipe.json").read_text(encoding="utf-8")) == to_json(recipe)
    except (OSError, ValueError):
        return None
    return stored if same and {"best", "trials", "test"} <= stored.keys() else None


def _epochs(study: optuna.Study, numbers: Collection[int]) -> dict[int, list[dict[str, float | None]]]:
    """The metrics of the epochs of some trials, by number."""
    found = study.get_trials(deepcopy=False)
    return {number: read_epochs(engine_of(study), found[number]._trial_id) for number in numbers}


def _counts(progress: Progress) -> dict[str, int]:
    return {"complete": progress.complete, "pruned": progress.pruned, "failed": progress.failed}


@contextlib.contextmanager
def _alone(file: Path, name: str) -> Iterator[None]:
    """Hold the study, so that no second process evaluates its trials at the same time."""
    lock = filelock.FileLock(file)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise StudyError(
            f"the study {name!r} is being searched by another process: wait for it, or give --study NEWNAME"
        ) from error
    except OSError as error:
        raise OutputError(f"the file {file} cannot be locked ({error.strerror}): give another --output") from error
    try:
        yield
    finally:
        lock.release()
