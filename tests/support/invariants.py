"""What must hold for a study that is over, whatever happened to its workers."""

from collections import Counter
from typing import Any

import optuna
import sqlalchemy as sa
from optuna.trial import FrozenTrial, TrialState

from studies.database.tables import CLAIMS, EPOCHS, WORKERS, read_epochs
from studies.outcome import ALIVE


def read_whole(url: str, name: str) -> tuple[list[FrozenTrial], dict[int, list[int]], Counter[str]]:
    """Return the trials as plain Optuna reads them, the epochs of each by its number, and the workers by state."""
    storage = optuna.storages.RDBStorage(url)
    try:
        trials = optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False)
        with storage.engine.connect() as connection:
            rows = connection.execute(sa.select(EPOCHS.c.trial_id, EPOCHS.c.epoch).order_by(EPOCHS.c.epoch)).all()
            states = Counter(connection.scalars(sa.select(WORKERS.c.state)).all())
    finally:
        storage.engine.dispose()
    epochs = {trial.number: [epoch for trial_id, epoch in rows if trial_id == trial._trial_id] for trial in trials}
    return trials, epochs, states


def attempts(url: str) -> int:
    """Return the number of retries of trials."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        again = connection.scalar(sa.select(sa.func.sum(CLAIMS.c.attempt - 1)))
    engine.dispose()
    return int(again or 0)


def faults(url: str, name: str, trials: int, epochs: int) -> list[str]:
    """Return what is wrong: lost, duplicate or unfinished trials, and curves with gaps."""
    found, curves, states = read_whole(url, name)
    wrong = []
    if [trial.number for trial in found] != list(range(trials)):
        wrong.append(f"trials {[trial.number for trial in found]}, not 0 to {trials - 1}")
    whole = list(range(1, epochs + 1))
    for trial in found:
        if trial.state != TrialState.COMPLETE:
            wrong.append(f"trial {trial.number} is {trial.state.name}")
        if sorted(trial.intermediate_values) != whole:
            wrong.append(f"trial {trial.number} reported {sorted(trial.intermediate_values)}")
        if curves[trial.number] != whole:
            wrong.append(f"trial {trial.number} has epochs {curves[trial.number]}")
    if states[ALIVE]:
        wrong.append(f"{states[ALIVE]} workers seem alive")
    return wrong


def best_trial(url: str, name: str) -> int:
    """Return the number of the trial with the lowest value."""
    return min(read_whole(url, name)[0], key=lambda trial: trial.value).number


def differences(url: str, calm_url: str, name: str) -> list[str]:
    """Return where a study's trials differ, in any bit, from those of the same study in another database."""
    ours, theirs = _contents(url, name), _contents(calm_url, name)
    pairs = enumerate(zip(ours, theirs, strict=False))
    wrong = [f"trial {number} has other values than without chaos" for number, (one, other) in pairs if one != other]
    return wrong if len(ours) == len(theirs) else [*wrong, f"{len(ours)} trials, {len(theirs)} without chaos"]


def _contents(url: str, name: str) -> list[tuple[Any, ...]]:
    """Return the parameters, the value, the reports and the epochs' metrics of each trial."""
    engine = sa.create_engine(url)
    try:
        return [
            (trial.params, trial.value, trial.intermediate_values, read_epochs(engine, trial._trial_id))
            for trial in read_whole(url, name)[0]
        ]
    finally:
        engine.dispose()
