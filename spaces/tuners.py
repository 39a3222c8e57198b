"""Recognises objects of KerasTuner that are not hypermodels or metrics, and says what to use instead."""

from typing import Any

from spaces.scalars import short_repr
from spaces.training import METRICS

_INSTEAD_OF_RUN_TRIAL = (
    "move run_trial(), which is not called, into fit(hp, model, ...) of the hypermodel; for folds set "
    "Space(folds=5), and to search the batch size set Space(batch_size=Choice(16, 32, 64))"
)
_KINDS = {
    "BaseTuner": "a tuner",
    "Oracle": "an oracle",
    "Objective": "an objective",
    "HyperParameters": "hyperparameters",
}


def misplaced(value: Any) -> str | None:
    """Describe an object of KerasTuner that is not a hypermodel, with a hint; None for any other object.

    A hypermodel with its own `run_trial` counts too, since only a tuner has one.
    """
    given = value if isinstance(value, type) else type(value)
    kind = kind_of(value)
    if kind is None:
        return f"{given.__name__}\nhint: {_INSTEAD_OF_RUN_TRIAL}" if _overrides_run_trial(given) else None
    got = f"{kind}, {given.__name__}\nhint: "
    if kind == "a tuner":
        passed = "pass the tuner's hypermodel, and set Study(trials=..., sampler=...) and Space(metric=...)"
        return f"{got}{passed}{f'; {_INSTEAD_OF_RUN_TRIAL}' if _overrides_run_trial(given) else ''}"
    if kind == "an oracle":
        return f'{got}set Study(sampler="tpe")'
    if kind == "an objective":
        return f"{got}set {_metric_hint(value)} in Space"
    return f"{got}pass them as KerasTunerModel(hypermodel, hyperparameters=...)"


def objective_as_metric(value: Any) -> str | None:
    """Return the error of an `Objective` of KerasTuner as a metric; None for any other value."""
    if isinstance(value, list | tuple) and len(value) == 1:
        return objective_as_metric(value[0])
    if isinstance(value, list | tuple) and any(kind_of(each) == "an objective" for each in value):
        return f"got {len(value)} objectives, expected one of {', '.join(METRICS)}"
    if kind_of(value) != "an objective":
        return None
    if getattr(value, "name", None) in METRICS:
        return f"got an objective, expected the name of a metric\nhint: set {_metric_hint(value)}"
    return f"got {short_repr(str(value))}, expected one of {', '.join(METRICS)}"


def kind_of(value: Any) -> str | None:
    """Return which kind of KerasTuner object, or class of one, a value is; None for all that have no replacement."""
    given = value if isinstance(value, type) else type(value)
    for each in given.__mro__:
        if each.__module__.partition(".")[0] in ("keras_tuner", "kerastuner") and each.__name__ in _KINDS:
            return _KINDS[each.__name__]
    return None


def _metric_hint(objective: Any) -> str:
    name, direction = getattr(objective, "name", None), getattr(objective, "direction", None)
    if name not in METRICS:
        return "metric=..."
    ours = METRICS[name]
    other = f" ({name} is always {ours}d)" if direction and not ours.startswith(str(direction)) else ""
    return f'metric="{name}"{other}'


def _overrides_run_trial(given: type) -> bool:
    own = (each for each in given.__mro__ if each.__module__.partition(".")[0] not in ("keras_tuner", "kerastuner"))
    return any("run_trial" in vars(each) for each in own)
