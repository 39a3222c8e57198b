"""What a search found, as its export needs it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from spaces.space import Recipe
from studies.export.plots.curves import Epochs
from studies.outcome import Best, Progress


@dataclass(frozen=True)
class SearchSummary:
    """What the search found.

    Args:
        study: Name of the study.
        metric: What was compared.
        direction: `maximize` or `minimize`.
        progress: Trials by state, the baseline's value, the best trial.
        recipe: The best trial's recipe.
        seed: The best trial's seed.
        search_seconds: Seconds that all trials took together.
        epochs: The metrics of each epoch, in order, of the best trial and of the baseline, by number.
        identity: What no other study has.
        attempt: How often the export has been claimed: two workers that both believe it is theirs never write the same
            checkpoint.
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
        """The best trial."""
        if self.progress.best is None:
            raise ValueError("there is no best trial")
        return self.progress.best
