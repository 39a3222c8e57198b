"""Summary of a search for its export."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from spaces.space import Recipe
from studies.export.plots.curves import Epochs
from studies.outcome import Best, Progress


@dataclass(frozen=True)
class SearchSummary:
    """Result of a search.

    Args:
        study: Name of the study.
        metric: Name of the metric that was optimized.
        direction: `maximize` or `minimize`.
        progress: Trials by state, the baseline's value, the best trial.
        recipe: The best trial's recipe.
        seed: The best trial's seed.
        search_seconds: Total duration of all trials in seconds.
        epochs: Metrics of each epoch of the best trial and of the baseline, by trial number.
        identity: Unique identity of the study.
        attempt: Number of claims of the export, so that two workers that both believe they hold it never write the
            same checkpoint.
    """

    study: str
    metric: str
    direction: str
    progress: Progress
    recipe: Recipe
    seed: int
    search_seconds: float
    epochs: Mapping[int, Epochs] = field(default_factory=dict)
    identity: str = ""
    attempt: int = 0

    @property
    def best(self) -> Best:
        """Best trial."""
        if self.progress.best is None:
            raise ValueError("no completed trial yet")
        return self.progress.best
