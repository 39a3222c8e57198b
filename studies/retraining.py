"""After the search: the best recipe trained on all images but the test split's, tested once, and exported."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from spaces.canonical import to_json
from spaces.errors import ModelError
from spaces.space import Recipe
from studies import training
from studies.data import Dataset, Split, concatenated
from studies.data.feed import evaluation_data
from studies.evaluation import evaluate
from studies.events import Best, EpochEnded, Progress, Retraining, Watcher
from studies.export import export_model
from studies.models import inference_model
from studies.training import Training, train

COMPARED_IMAGES = 32
RETRAININGS = 3
"""How often a retraining that diverges is tried, each time with another seed."""


@dataclass(frozen=True)
class Found:
    """What the search found.

    Args:
        study: Name of the study.
        metric: What was compared.
        direction: `maximize` or `minimize`.
        progress: Trials by state, the baseline's value, the best trial.
        recipe: The best trial's recipe.
        seed: The best trial's seed.
        search_seconds: Seconds that all trials took together.
    """

    study: str
    metric: str
    direction: str
    progress: Progress
    recipe: Recipe
    seed: int
    search_seconds: float

    @property
    def best(self) -> Best:
        """The best trial."""
        if self.progress.best is None:
            raise ValueError("there is no best trial")
        return self.progress.best


def retrain_and_export(
    found: Found, dataset: Dataset, *, folder: Path, best_folder: Path, watcher: Watcher, stop: Callable[[], bool]
) -> dict[str, Any] | None:
    """Retrain, test and export the best recipe.

    Args:
        found: What the search found.
        dataset: The recipe's images.
        folder: Where relative paths of weights start.
        best_folder: Where the export goes; an earlier one is replaced when the new one is whole.
        watcher: Is told what happens.
        stop: Asked between steps whether to end.

    Returns:
        What stands in `metrics.json`, or None when it was stopped before.
    """
    started = time.monotonic()
    trained = _retrain(found, dataset, folder, watcher, stop)
    if trained.ended == training.STOPPED:
        return None
    retrained = time.monotonic()
    watcher.exporting()
    shape = dataset.image_shape
    model = inference_model(found.recipe, trained.model, shape, len(dataset.classes))
    probabilities = model.predict(evaluation_data(dataset.test, found.recipe.batch_size), verbose=0)
    scores = evaluate(probabilities, dataset.test.labels, dataset.classes)

    def metrics(exports: Any) -> dict[str, Any]:
        seconds = {
            "search": found.search_seconds,
            "retrain": retrained - started,
            "export": time.monotonic() - retrained,
        }
        rounded = {name: round(value, 3) for name, value in seconds.items()}
        return {**_search_metrics(found), "test": scores.to_json(), "exports": exports, "seconds": rounded}

    return export_model(
        model,
        best_folder,
        labels=dataset.classes,
        image_shape=shape,
        resize=dataset.resize,
        recipe_json=to_json(found.recipe),
        metrics=metrics,
        samples=_samples(dataset.test),
    )


def _retrain(found: Found, dataset: Dataset, folder: Path, watcher: Watcher, stop: Callable[[], bool]) -> Training:
    images, epochs = concatenated(dataset.train, dataset.validation), found.best.epoch
    watcher.retraining(Retraining(found.best.number, epochs, len(images)))

    def show(epoch: int, metrics: Any) -> bool:
        watcher.epoch_ended(EpochEnded(None, epoch, epochs, metrics))
        return True

    for seed in range(found.seed, found.seed + RETRAININGS):
        keras.utils.clear_session()
        trained = train(
            found.recipe,
            images,
            None,
            classes=len(dataset.classes),
            seed=seed,
            folder=folder,
            epochs=epochs,
            on_epoch=show,
            stop=stop,
        )
        if trained.ended != training.DIVERGED:
            return trained
    raise ModelError(
        f"the best recipe, trial {found.best.number}, diverged in {RETRAININGS} retrainings with other seeds: "
        "narrow the learning rate of the space and search again under another --study name"
    )


def _search_metrics(found: Found) -> dict[str, Any]:
    progress = found.progress
    return {
        "study": found.study,
        "metric": found.metric,
        "direction": found.direction,
        "trials": {"complete": progress.complete, "pruned": progress.pruned, "failed": progress.failed},
        "baseline": {"number": 0, "value": progress.baseline},
        "best": asdict(found.best),
    }


def _samples(split: Split) -> np.ndarray:
    """Some real images, spread over the split."""
    chosen = np.unique(np.linspace(0, len(split) - 1, COMPARED_IMAGES).astype(int))
    return np.asarray(split.images[chosen])
