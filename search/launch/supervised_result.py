"""What a supervisor reads of a finished run: the metrics of its export, and its baseline."""

from pathlib import Path
from typing import Any

from spaces import baseline
from spaces.parameters import Scalar
from spaces.space import Space
from studies.database.stored_trials import params_of
from studies.export.export_folder import STUDY_ID, read_metrics
from studies.outcome import Progress
from studies.status.monitor import StudySnapshot


def exported_metrics(folder: Path, identity: str | None, progress: Progress, *, out_of_time: bool) -> Any:
    """Return the metrics of an export if it holds the best of all finished trials, or None.

    Args:
        identity: Identity of the study; None before the workers have joined it.
        out_of_time: Accept an earlier export of the same trial, as there was no time to export it again.
    """
    stored = read_metrics(folder)
    if identity is None or stored.get(STUDY_ID) != identity or not {"best", "trials", "test"} <= stored.keys():
        return None
    is_current = sum(stored["trials"].values()) == progress.done
    if progress.best is None:
        # The export of a trial that was stopped in its first epoch.
        return stored if is_current and not stored.get("weights", {}).get("complete", True) else None
    return stored if (is_current or out_of_time) and stored["best"]["number"] == progress.best.number else None


def stored_baseline(space: Space, now: StudySnapshot | None) -> dict[str, Scalar]:
    """Return the baseline; trial 0 also holds the hyperparameters that a hypermodel reveals while it is built."""
    first = next((trial for trial in now.ended if trial.number == 0), None) if now else None
    return {**(params_of(first) if first else {}), **baseline(space)}
