"""Evaluates one trial: where Optuna and Keras meet."""

import gc
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import keras
import optuna

from spaces.errors import ModelError, SearchError
from spaces.space import Recipe
from studies import training
from studies.data import Dataset
from studies.events import COMPLETE, FAILED, PRUNED, WAITING, EpochEnded, Progress, Watcher
from studies.models.memory import is_out_of_memory
from studies.sampling import seed_of
from studies.stopping import StopRequest
from studies.storage import DATABASE_ERRORS, engine_of
from studies.tables import write_epoch
from studies.training import Training, train
from studies.trials import Outcome, report


@dataclass
class Objective:
    """Trains the recipe of one trial and says how it ended.

    Args:
        study: The study, for its storage and direction.
        seed: The study's seed.
        folder: Where relative paths of weights start.
        data: Gives the images of a recipe.
        watcher: Is told of every epoch.
        stop: Asked between steps whether to end.
    """

    study: optuna.Study
    seed: int
    folder: Path
    data: Callable[[Recipe], Dataset]
    watcher: Watcher
    stop: StopRequest
    _judged: int = field(default=0, init=False)

    def __call__(self, trial: optuna.Trial, recipe: Recipe, before: Progress) -> Outcome:
        """Evaluate a trial.

        Args:
            trial: The trial, taken.
            recipe: What it trains.
            before: How far the study was. An error that the user can mend ends the run while no trial has ended,
                and what was reached when time is over counts while none is complete.

        Returns:
            How it ended; errors of one trial end only that trial.

        Raises:
            SearchError: The images or the database cannot be used, or the first trial's recipe cannot be built.
        """
        started = time.monotonic()
        # What an interrupted run of this trial had reported was judged then.
        self._judged = max(trial.storage.get_trial(trial._trial_id).intermediate_values, default=0)
        try:
            trained = self._train(trial, recipe)
            return self._outcome(trained, recipe, time.monotonic() - started, before)
        except SearchError as error:
            if before.done == 0 or not isinstance(error, ModelError):
                raise
            return Outcome(FAILED, None, None, 0, time.monotonic() - started, str(error))
        except DATABASE_ERRORS:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a recipe breaks ends its trial, not the search
            state, reason = _classified(error)
            return Outcome(state, None, None, 0, time.monotonic() - started, reason)
        finally:
            keras.utils.clear_session(free_memory=False)
            gc.collect()

    def _train(self, trial: optuna.Trial, recipe: Recipe) -> Training:
        dataset = self.data(recipe)
        return train(
            recipe,
            dataset.train,
            dataset.validation,
            classes=len(dataset.classes),
            seed=seed_of(self.seed, trial.number),
            folder=self.folder,
            on_epoch=lambda epoch, metrics: self._report(trial, recipe, epoch, metrics),
            stop=self.stop,
        )

    def _report(self, trial: optuna.Trial, recipe: Recipe, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Store an epoch, show it, and ask the pruner whether to go on."""
        value = metrics[recipe.metric]
        report(trial, epoch, value, again=epoch <= self._judged)
        write_epoch(engine_of(self.study), trial._trial_id, epoch, metrics)
        self.watcher.epoch_ended(EpochEnded(trial.number, epoch, recipe.epochs, metrics))
        if trial.number == 0 or epoch >= recipe.epochs or epoch <= self._judged or not math.isfinite(value):
            return True
        return not trial.should_prune()

    def _outcome(self, trained: Training, recipe: Recipe, seconds: float, before: Progress) -> Outcome:
        value = trained.best_value if trained.best_epoch else None
        reached = (value, trained.best_epoch, len(trained.history), seconds)
        if trained.ended == training.STOPPED:
            if before.complete == 0 and value is not None and not self.stop.requested:
                return Outcome(COMPLETE, *reached, "cut short by the time limit", trained.best_loss)
            return Outcome(WAITING, *reached, self.stop.signal_name or "the time was over")
        if trained.ended == training.REFUSED:
            return Outcome(PRUNED, *reached, f"pruned after epoch {len(trained.history)} of {recipe.epochs}")
        if trained.ended == training.DIVERGED or value is None:
            return Outcome(PRUNED, *reached, f"diverged: the loss was not finite in epoch {len(trained.history)}")
        return Outcome(COMPLETE, *reached, loss=trained.best_loss)


def _classified(error: Exception) -> tuple[str, str]:
    """State and reason of a trial that raised: a sampler learns from a pruned trial, never from a failed one."""
    if is_out_of_memory(error):
        return PRUNED, f"out of memory ({type(error).__name__})"
    return FAILED, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
