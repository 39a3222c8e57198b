"""Recognises KerasTuner's other objects in place of a hypermodel or a metric, and says what replaces each."""

from typing import Any

from spaces.scalars import short_repr
from spaces.training import METRICS

_INSTEAD_OF_RUN_TRIAL = (
    "its run_trial() is not called: move training into fit(hp, model, ...) of the hypermodel, for folds set "
    "Space(folds=5), and to search the batch size set Space(batch_size=Choice(16, 32, 64))"
)
_KINDS = {
    "BaseTuner": "a tuner",
    "Oracle": "an oracle",
    "Objective": "an objective",
    "HyperParameters": "hyperparameters",
}


def misplaced(value: Any) -> str | None:
    """What was given in place of a hypermodel, and what to write instead; None for anything but KerasTuner's objects.

    A hypermodel with a `run_trial` of its own counts too, since only a tuner has one.
    """
    given = value if isinstance(value, type) else type(value)
    kind = kind_of(value)
    if kind is None:
        return f"{given.__name__}, but {_INSTEAD_OF_RUN_TRIAL}" if _overrides_run_trial(given) else None
    got = f"{kind}, {given.__name__}: "
    if kind == "a tuner":
        passed = "pass the tuner's hypermodel, and set Study(trials=..., sampler=...) and Space(metric=...) beside it"
        return f"{got}{passed}{f'; {_INSTEAD_OF_RUN_TRIAL}' if _overrides_run_trial(given) else ''}"
    if kind == "an oracle":
        return f'{got}set Study(sampler="tpe") instead'
    if kind == "an objective":
        return f"{got}set Space(metric=...) instead{_meant(value)}"
    return f"{got}pass them as KerasTunerModel(hypermodel, hyperparameters=...)"


def objective_as_metric(value: Any) -> str | None:
    """What to write in place of an `Objective` of KerasTuner as a metric; None for anything else."""
    if isinstance(value, list | tuple) and len(value) == 1:
        return objective_as_metric(value[0])
    if isinstance(value, list | tuple) and any(kind_of(each) == "an objective" for each in value):
        return f"takes one metric, got {len(value)} objectives: choose one of {', '.join(METRICS)}"
    if kind_of(value) != "an objective":
        return None
    if getattr(value, "name", None) in METRICS:
        return f"takes the name of a metric, got an objective{_meant(value)}"
    return f"takes the name of a metric, got {short_repr(str(value))}: choose one of {', '.join(METRICS)}"


def kind_of(value: Any) -> str | None:
    """Which of KerasTuner's objects, or their classes, a value is; None for none of those that have a replacement."""
    given = value if isinstance(value, type) else type(value)
    for each in given.__mro__:
        if each.__module__.partition(".")[0] in ("keras_tuner", "kerastuner") and each.__name__ in _KINDS:
            return _KINDS[each.__name__]
    return None


def _meant(objective: Any) -> str:
    name, direction = getattr(objective, "name", None), getattr(objective, "direction", None)
    if name not in METRICS:
        return ""
    ours = METRICS[name]
    other = f" ({name} is always {ours}d)" if direction and not ours.startswith(str(direction)) else ""
    return f': write metric="{name}"{other}'


def _overrides_run_trial(given: type) -> bool:
    own = (each for each in given.__mro__ if each.__module__.partition(".")[0] not in ("keras_tuner", "kerastuner"))
    return any("run_trial" in vars(each) for each in own)
