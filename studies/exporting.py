"""What is done with the best trial after the search: retrained, tested and exported, by one worker alone."""

import json
import time
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from socket import gethostname
from typing import Any

import optuna

from spaces.canonical import to_json
from spaces.space import Recipe, Space, resolve
from studies import trials
from studies.checkpoints import Checkpoints
from studies.data import Dataset
from studies.database.steering import claim_export, end_export, exporter_heard_at, steering
from studies.database.tables import read_epochs
from studies.database.workers import Member
from studies.events import Progress, Watcher
from studies.features import Features
from studies.opening import OpenStudy
from studies.results import Result
from studies.sampling import seed_of
from studies.stopping import StopRequest
from studies.storage import engine_of

SECONDS_BETWEEN_LOOKS = 0.5


@dataclass(frozen=True)
class Exporter:
    """Exports the best trial of a study.

    Args:
        opened: The study.
        member: This worker.
        seed: The study's seed.
        folder: Where relative paths of weights start.
        target: Where the export goes.
        images: Gives the images of a recipe.
        features: Gives the features of frozen backbones.
        watcher: Is told what happens.
        stop: Asks for an end.
        checkpoints: Where trials and the retraining are saved.
        wait: Waits so many seconds.
    """

    opened: OpenStudy
    member: Member
    seed: int
    folder: Path
    target: Path
    images: Callable[[Recipe], Dataset]
    features: Features
    watcher: Watcher
    stop: StopRequest
    checkpoints: Checkpoints
    wait: Callable[[float], None] = time.sleep

    def exported(self, space: Space, result: Result) -> Result:
        """The result with its export: the one that is there if it is of the same trial, else a new one."""
        from studies.retraining import Found, retrain_and_export

        best = result.progress.best
        if best is None:
            return result
        recipe = resolve(space, best.params)
        stored = stored_metrics(self.target, recipe)
        if stored and stored["best"] == asdict(best) and stored["trials"] == _counts(result.progress):
            return replace(result, metrics=stored, export=self.target)
        if elsewhere := self._elsewhere(result):
            return replace(result, elsewhere=elsewhere)
        found = Found(
            study=result.study,
            metric=result.metric,
            direction=result.direction,
            progress=result.progress,
            recipe=recipe,
            seed=seed_of(self.seed, best.number),
            search_seconds=trials.total_seconds(self.opened.study),
            epochs=_epochs(self.opened.study, {0, best.number}),
        )
        metrics = retrain_and_export(
            found,
            self.images(recipe),
            folder=self.folder,
            best_folder=self.target,
            watcher=self.watcher,
            stop=lambda: self.stop.requested,
            features=self.features,
            checkpoints=self.checkpoints,
        )
        self._end(result, exported=metrics is not None)
        export = self.target if metrics else None
        return replace(result, metrics=metrics, export=export, interrupted=self.stop.signal_name)

    def _end(self, result: Result, *, exported: bool) -> None:
        """Let others export again; tell them what was exported here."""
        what = {"trial": self._trial(result), "host": gethostname(), "folder": str(self.target.absolute())}
        end_export(self.opened.database, self.opened.study_id, what if exported else None)

    def _trial(self, result: Result) -> list[int]:
        """The best trial's number, and how many had ended."""
        return [result.progress.best.number if result.progress.best else -1, result.progress.done]

    def _elsewhere(self, result: Result) -> str:
        """Who exports, or has exported while this process was at work, the best trial in its place; else empty.

        A process that finds the study finished, and no export in its own folder, makes one.
        """
        if not self._is_claimed():
            return "another worker is retraining and exporting the best trial"
        known = steering(self.opened.database, self.opened.study_id).exported or {}
        if not result.already_finished and known.get("trial") == self._trial(result):
            end_export(self.opened.database, self.opened.study_id, None)
            return f"exported on {known['host']}: {known['folder']}"
        return ""

    def _is_claimed(self) -> bool:
        """Whether this worker is to export; where another one was about to, as soon as it has shown to be alive."""
        database, study_id = self.opened.database, self.opened.study_id
        heard_at = exporter_heard_at(database, study_id)
        while not claim_export(database, study_id, self.member.worker_id):
            now = exporter_heard_at(database, study_id)
            if self.stop() or now != heard_at:
                return False
            self.wait(SECONDS_BETWEEN_LOOKS)
        return True


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
