"""Exports the best trial while the search is still running, so that a model exists from the first minute on.

Such an export holds Keras' own format alone, is not yet tested, and is replaced by that of a better trial. It never
replaces the export at the end of the search, which is tested.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from spaces.canonical import to_json
from spaces.records import with_fields
from spaces.space import Recipe, Space, resolve
from studies.data.dataset import Dataset
from studies.database.errors import DATABASE_ERRORS
from studies.database.open_study import OpenStudy
from studies.export.export_folder import ExportLockLostError, is_tested
from studies.export.retraining import RETRAINING, FinalModel, FinalTraining, search_metrics
from studies.export.search_summary import SearchSummary
from studies.export.writer import export_model
from studies.features.eligibility import is_linear
from studies.features.inputs import spaced_rows
from studies.outcome import Progress
from studies.training.options import TrainingOptions
from studies.trials.recipe_training import inference_model_of, train_recipe
from studies.trials.run_context import RunContext
from studies.trials.samplers import trial_seed

FIRST_AFTER_SECONDS = 30.0
"""Time after which a network has its first early export; a linear head has it at once."""

MAX_FRACTION = 0.2
"""Largest part of the run that early exports may take, after the first."""

logger = logging.getLogger(__name__)


@dataclass
class EarlyExports:
    """Exports the best trial so far, as long as that costs little.

    Args:
        opened: The study.
        space: Its space.
        target: Folder of the export.
        context: Shared parts of the run.
        clock: Returns the seconds since any fixed time.
    """

    opened: OpenStudy
    space: Space
    target: Path
    context: RunContext
    clock: Callable[[], float] = time.monotonic
    _exported: int | None = field(default=None, init=False)
    _seconds: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._began = self.clock()

    def trial_ended(self, progress: Progress) -> None:
        """Export the best trial, unless it is exported, it is too early, or the search is over anyway."""
        best = progress.best
        if best is None or best.number == self._exported or progress.done >= progress.trials or self.context.stop():
            return
        recipe = with_fields(resolve(self.space, best.params), best.chosen)
        if not self._is_due(recipe) or is_tested(self.target, self.opened.identity):
            return
        started = self.clock()
        try:
            self._export(progress, recipe)
        except ExportLockLostError:
            logger.info("trial %d is not exported, since there is a tested export", best.number)
        except Exception as error:  # whatever breaks this export breaks the one at the end, which reports it
            if isinstance(error, DATABASE_ERRORS):
                raise
            logger.warning("could not export trial %d before the end of the search: %s", best.number, error)
        self._exported = best.number
        self._seconds += self.clock() - started

    def _is_due(self, recipe: Recipe) -> bool:
        passed = self.clock() - self._began
        if self._exported is None:
            return is_linear(recipe) or passed >= FIRST_AFTER_SECONDS
        return self._seconds <= MAX_FRACTION * passed

    def _export(self, progress: Progress, recipe: Recipe) -> None:
        best: Any = progress.best
        summary = SearchSummary(
            study=self.opened.name,
            metric=recipe.metric,
            direction=self.opened.study.direction.name.lower(),
            progress=progress,
            recipe=recipe,
            seed=trial_seed(self.context.seed, best.number),
            search_seconds=self.clock() - self._began,
            identity=self.opened.identity,
        )
        dataset = self.context.datasets(recipe)
        final = self._final(summary, dataset)
        if final is None:
            return
        features, shape = self.context.features, dataset.image_shape
        full = features.full_model(recipe, final.inputs, final.model, dataset)
        export_model(
            inference_model_of(recipe, full, shape, len(dataset.classes)),
            self.target,
            labels=dataset.classes,
            image_shape=shape,
            resize=dataset.resize,
            recipe_json=to_json(recipe),
            metrics=lambda exports: {**search_metrics(summary), "weights": final.weights, "exports": exports},
            samples=np.asarray(dataset.validation.images[spaced_rows(len(dataset.validation))]),
            study=self.opened.identity,
            publish=self._publish,
            has_time=lambda: False,
        )

    def _final(self, summary: SearchSummary, dataset: Dataset) -> FinalModel | None:
        """Return the model to export: a linear head solved on train plus validation, or the trial's own weights."""
        splits = (dataset.train, dataset.validation)
        has_features = all(self.context.features.has_features(summary.recipe, split) for split in splits)
        if not is_linear(summary.recipe) or not has_features:
            return FinalTraining(summary, dataset, self.context).from_trial()
        inputs = self.context.features.for_retraining(summary.recipe, dataset)
        trained = train_recipe(summary.recipe, inputs.all_images, TrainingOptions(summary.seed))
        weights = {"from": RETRAINING, "trial": summary.best.number, "epochs": 1, "complete": True}
        return FinalModel(trained.model, inputs, weights)

    def _publish(self, swap: Callable[[], None]) -> bool:
        if is_tested(self.target, self.opened.identity):
            return False
        swap()
        return True
