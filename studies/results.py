"""What a run leaves: the result that is shown, stored in `metrics.json`, and read again later."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spaces.errors import StudyError
from spaces.parameters import Scalar
from studies.events import Progress

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


@dataclass(frozen=True)
class Result:
    """The outcome of one call of `search run`.

    Args:
        study: Name of the study.
        metric: What was compared.
        direction: `maximize` or `minimize`.
        progress: Trials by state, the baseline's value and the best trial.
        metrics: What stands in `metrics.json`; None when nothing was exported in this run or before it.
        export: Folder of the exported model, or None.
        interrupted: Name of the signal that ended the run, or None.
        timed_out: The run's time was over before all trials were evaluated.
        already_finished: All trials had been evaluated before this run.
        elsewhere: Who exports the best trial in place of this run, in words; empty when nobody else does.
        recycled: A fresh process should go on: this one has done its share of trials.
        exhausted: Every recipe of the space has been evaluated.
    """

    study: str
    metric: str
    direction: str
    progress: Progress
    metrics: Mapping[str, Any] | None
    export: Path | None
    interrupted: str | None = None
    timed_out: bool = False
    already_finished: bool = False
    elsewhere: str = ""
    recycled: bool = False
    exhausted: bool = False

    @property
    def gain(self) -> float | None:
        """How much better the best trial is than the baseline; above 0 is better, whatever the direction."""
        best, base = self.progress.best, self.progress.baseline
        if best is None or base is None:
            return None
        return best.value - base if self.direction == "maximize" else base - best.value


@dataclass(frozen=True)
class TrialRow:
    """One trial as `search trials` lists it.

    Args:
        number: Its number.
        state: `complete`, `pruned`, `failed`, `waiting` or `running`.
        value: Its best epoch's metric, or None.
        epoch: That epoch, counted from 1, or None.
        epochs: Epochs that were trained.
        seconds: How long it took, or None.
        reason: Why it was pruned or failed; empty when complete.
        params: Its parameters by dotted name.
        path: What it was trained on: `images`, `features` or `cached views`; empty while it has not ended.
        host: The machine that evaluates it, or has evaluated it; empty where that is not known.
        attempts: How often a worker has taken it: more than once after workers were lost; 0 where that is not known.
    """

    number: int
    state: str
    value: float | None
    epoch: int | None
    epochs: int
    seconds: float | None
    reason: str
    params: Mapping[str, Scalar]
    path: str = ""
    host: str = ""
    attempts: int = 0


def read_trials(name_or_folder: str, output: Path, storage: str | None = None) -> list[TrialRow]:
    """List the trials of a study, in order.

    Args:
        name_or_folder: Name of the study, or its folder.
        output: Folder of all studies.
        storage: URL of the database; None takes `study.db` in the study's folder.

    Raises:
        StudyError: There is no such study, or its database cannot be used.
    """
    from studies.finding import find
    from studies.status import read_claims
    from studies.storage import explained

    found = find(name_or_folder, output, storage)
    with explained(found.url):
        claims = read_claims(found)
        return [_row(trial, *claims.get(trial._trial_id, ("", 0))) for trial in found.study.get_trials(deepcopy=False)]


def located(name_or_folder: str, output: Path, storage: str | None) -> tuple[str, str]:
    """The study's name and the URL of its database.

    Args:
        name_or_folder: Name of the study, or its folder.
        output: Folder of all studies.
        storage: URL of the database; None takes `study.db` in the study's folder.

    Raises:
        StudyError: There is no such folder.
    """
    from studies.storage import sqlite_url

    if storage is not None:
        return Path(name_or_folder).name, storage
    folder = next((f for f in (output / name_or_folder, Path(name_or_folder)) if (f / "study.db").is_file()), None)
    if folder is None:
        known = sorted(file.parent.name for file in output.glob("*/study.db"))
        there = f"there are {', '.join(known)}" if known else "there is none"
        raise StudyError(f"there is no study {name_or_folder!r} in {output}: {there}")
    return folder.absolute().name, sqlite_url(folder / "study.db")


def _row(trial: "FrozenTrial", host: str, attempts: int) -> TrialRow:
    from studies.trials import STATES, outcome_of, params_of

    outcome = outcome_of(trial)
    return TrialRow(
        number=trial.number,
        state=STATES[trial.state],
        value=outcome.value if outcome else trial.value,
        epoch=outcome.epoch if outcome else None,
        epochs=outcome.epochs if outcome else len(trial.intermediate_values),
        seconds=outcome.seconds if outcome else None,
        reason=outcome.reason if outcome else "",
        params=params_of(trial),
        path=outcome.path if outcome else "",
        host=host,
        attempts=attempts,
    )
