"""Elects the one worker that retrains, tests and exports the best trial after the search."""

import json
import time
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from socket import gethostname
from typing import Any

import optuna

from spaces.canonical import to_json
from spaces.records import with_fields
from spaces.space import Recipe, Space, resolve
from studies.database import stored_trials
from studies.database.connection import engine_of
from studies.database.identities import require
from studies.database.open_study import OpenStudy
from studies.database.study_control import ExportClaim, claim_export, exporter_heartbeat, read_control, release_export
from studies.database.tables import read_epochs
from studies.database.workers import WorkerRegistration
from studies.export.export_folder import STUDY_ID, ExportLockLostError, read_metrics, study_of
from studies.images.lazy_images import raise_lost_files
from studies.outcome import Best, Progress, RunResult
from studies.study_folder import path_for_other_study
from studies.training.epochs import second_phase, total_epochs
from studies.trials.run_context import RunContext
from studies.trials.samplers import trial_seed

POLL_SECONDS = 0.5
BY_ANOTHER = "another worker is retraining and exporting the best trial"


@dataclass(frozen=True)
class Exporter:
    """Exports the best trial of a study.

    Args:
        opened: The study.
        worker: This worker.
        target: Folder of the export.
        context: Shared parts of the run.
        has_time: Returns True if there is time to write a model with this many layers in a second format.
        wait: Waits for a number of seconds.
    """

    opened: OpenStudy
    worker: WorkerRegistration
    target: Path
    context: RunContext
    has_time: Callable[[int], bool] = lambda layers: True
    wait: Callable[[float], None] = time.sleep

    def export(
        self, space: Space, result: RunResult, *, retrains: bool = True, unfinished: Best | None = None
    ) -> RunResult:
        """Return the result with its export: the existing one if it fits, else a new one.

        Args:
            retrains: Whether there is time to retrain the best trial.
            unfinished: Result of a trial within its first epoch, exported if no trial is complete.
        """
        from studies.export.retraining import retrain_and_export
        from studies.export.search_summary import SearchSummary

        best = result.progress.best or unfinished
        if best is None:
            return result
        recipe = with_fields(resolve(space, best.params), best.chosen)
        if result.progress.best is not None:
            best = read_epoch_counts(best, recipe)
            result = replace(result, progress=replace(result.progress, best=best))
        stored = read_stored_metrics(self.target, recipe, self.opened.identity)
        if stored and self._is_good_enough(stored, best, result.progress, retrains=retrains):
            return replace(result, metrics=stored, export=self.target)
        claim = self._claim()
        if claim is None:
            return replace(result, exported_by=BY_ANOTHER)
        if elsewhere := self._elsewhere(result, claim):
            return replace(result, exported_by=elsewhere)
        found = SearchSummary(
            study=result.study,
            metric=result.metric,
            direction=result.direction,
            progress=replace(result.progress, best=best),
            recipe=recipe,
            seed=trial_seed(self.context.seed, best.number),
            search_seconds=stored_trials.total_seconds(self.opened.study),
            epochs=_read_epochs(self.opened.study, {0, best.number}),
            identity=self.opened.identity,
            attempt=claim.attempt,
        )
        try:
            dataset = self.context.datasets(recipe)
            with raise_lost_files(dataset.train.images):
                metrics = retrain_and_export(
                    found,
                    dataset,
                    self.context,
                    best_folder=self.target,
                    retrains=retrains,
                    has_time=self.has_time,
                    publish=lambda swap: self._publish(result, claim, swap),
                )
        except ExportLockLostError:
            database, study_id = self.opened.database, self.opened.study_id
            database.read(lambda connection: require(connection, study_id, self.opened.identity))
            return replace(result, exported_by=BY_ANOTHER)
        release_export(self.opened.database, claim)
        export = self.target if metrics else None
        return replace(result, metrics=metrics, export=export, interrupted=self.context.stop.requested_by)

    def _is_good_enough(self, stored: dict[str, Any], best: Best, progress: Progress, *, retrains: bool) -> bool:
        """Return True if the existing export need not be replaced."""
        if stored["best"] != asdict(best):
            return False
        if not retrains:
            # The export is of the same trial, and may even be retrained.
            return True
        weights = stored.get("weights", {"from": "retraining", "complete": True})
        # Formats that were skipped for lack of time are written now.
        is_whole = all(export.get("skipped") != "no time left" for export in stored.get("exports", {}).values())
        is_retrained: bool = weights["from"] == "retraining" and weights["complete"] and is_whole
        return is_retrained and bool(stored["trials"] == progress.counts)

    def _publish(self, result: RunResult, claim: ExportClaim, swap: Callable[[], None]) -> bool:
        """Move the export into place while the claim is held, and tell other workers where it is."""
        what = {"trial": self._trial(result), "host": gethostname(), "folder": str(self.target.absolute())}
        return release_export(self.opened.database, claim, what, swap)

    def _trial(self, result: RunResult) -> list[int]:
        """Return the best trial's number and the number of finished trials."""
        return [result.progress.best.number if result.progress.best else -1, result.progress.done]

    def _elsewhere(self, result: RunResult, claim: ExportClaim) -> str:
        """Return where another worker exported the best trial during this run; empty if nobody did.

        A process that starts when the study is finished and has no export in its folder makes its own.
        """
        known = read_control(self.opened.database, self.opened.study_id).export_info or {}
        if not result.already_finished and known.get("trial") == self._trial(result):
            release_export(self.opened.database, claim)
            return f"exported on {known['host']}: {known['folder']}"
        return ""

    def _claim(self) -> ExportClaim | None:
        """Claim the export; return None once another worker that holds the claim sends a heartbeat."""
        database, study_id = self.opened.database, self.opened.study_id
        heard_at = exporter_heartbeat(database, study_id)
        while (claim := claim_export(database, study_id, self.worker.worker_id)) is None:
            now = exporter_heartbeat(database, study_id)
            if self.context.stop() or now != heard_at:
                return None
            self.wait(POLL_SECONDS)
        return claim


def read_epoch_counts(best: Best, recipe: Recipe) -> Best:
    """Return the best trial with its epoch counts; those of its recipe if the trial was evaluated elsewhere."""
    if best.epoch > 0:
        return best
    second = second_phase(recipe)
    return replace(
        best,
        epoch=total_epochs(recipe),
        first_phase=recipe.epochs,
        second_phase=second.epochs if second else 0,
    )


def notices(export: Path, identity: str) -> list[str]:
    """Return notices about an existing export in the folder to which the best trial will be exported."""
    if not export.exists() or (other := study_of(export)) == identity:
        return []
    return [
        f"{export} contains the export of another study; it will be moved to "
        f"{path_for_other_study(export, other).name} when this study exports its best trial"
    ]


def read_stored_metrics(export: Path, recipe: Recipe, identity: str) -> dict[str, Any] | None:
    """Return the metrics of an earlier export; None if it has another study or recipe, is incomplete or unreadable."""
    stored = read_metrics(export)
    if not (export / "model.keras").is_file() or stored.get(STUDY_ID) != identity:
        return None
    try:
        same = json.loads((export / "recipe.json").read_text(encoding="utf-8")) == to_json(recipe)
    except (OSError, ValueError):
        return None
    return stored if same and {"best", "trials", "test"} <= stored.keys() else None


def _read_epochs(study: optuna.Study, numbers: Collection[int]) -> dict[int, list[dict[str, float | None]]]:
    """Return the metrics of each epoch of some trials, by trial number."""
    found = study.get_trials(deepcopy=False)
    return {number: read_epochs(engine_of(study), found[number]._trial_id) for number in numbers}
