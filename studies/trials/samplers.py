"""Suggests the recipe of a trial with Optuna's samplers, over a space with conditional parameters."""

import itertools
import math
import random
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import ExperimentalWarning

from spaces.errors import ModelError, SpaceError
from spaces.keras_tuner import KerasTunerModel
from spaces.parameters import MISSING, Choice, Float, Int, Parameter, Scalar
from spaces.registry import look_up
from spaces.space import Recipe, Space, baseline, combinations, fill, flatten, resolve
from studies.database.enqueued import RefusedValues, accept_values, given_values, possible_value, refuse_unused
from studies.database.errors import DATABASE_ERRORS
from studies.database.imported import distribution_of
from studies.database.stored_trials import PARAMS, params_of
from studies.trials.cmaes import SafeCmaEsSampler
from studies.trials.stepwise import steps

MAX_GRID_SIZE = 100_000


def trial_seed(study_seed: int, number: int, *more: int) -> int:
    """Return a seed that depends on the study's seed, the number of the trial and `more` alone."""
    return int(np.random.SeedSequence([study_seed, number, *more]).generate_state(1)[0] & 0x7FFFFFFF)


def make_sampler(name: str, seed: int) -> optuna.samplers.BaseSampler:
    """Return a sampler of `SAMPLERS` for one trial, with its own seed, so that a resumed study suggests the same.

    Raises:
        SpaceError: There is no such sampler, or a package that it needs is not installed.
    """
    make = look_up(SAMPLERS, name, "sampler")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return make(seed)


def suggest(trial: optuna.Trial, space: Space) -> Recipe:
    """Ask Optuna for every parameter that the selected options have, and fill the space with them.

    Raises:
        RefusedValues: The trial was enqueued with values that the space does not have.
    """
    own: dict[str, Scalar] = {}
    given = given_values(trial)

    def choose(name: str, parameter: Parameter) -> Scalar:
        accept_values(trial, name, parameter, given)
        own[name] = _suggest(trial, name, parameter)
        return own[name]

    recipe = fill(space, choose)
    if not isinstance(recipe.model, KerasTunerModel):
        refuse_unused(space, given, own)
        return recipe
    # KerasTuner and Keras are imported only where they are used.
    from studies.keras_tuner.own_fit import has_own_fit
    from studies.keras_tuner.suggest import values_of_build

    names = {each.name for each in flatten(space)}
    values = values_of_build(
        recipe.model, _make_suggester(trial, names, recipe.model), passing=(*DATABASE_ERRORS, RefusedValues)
    )
    if not has_own_fit(recipe.model):
        refuse_unused(space, given, trial.params)
    trial.set_user_attr(PARAMS, {**own, **values})
    return resolve(space, {**own, **values})


def suggest_during_fit(trial: optuna.Trial, recipe: Recipe) -> Callable[[Any], Scalar] | None:
    """Return what asks Optuna for a hyperparameter of a hypermodel's `fit`, and stores its value with the trial.

    None for a recipe without a hypermodel.
    """
    if not isinstance(recipe.model, KerasTunerModel):
        return None
    names = params_of(trial).keys() - dict(recipe.model.values).keys()
    ask = _make_suggester(trial, names, recipe.model.with_values({}))

    def suggest_and_store(hp: Any) -> Scalar:
        value = ask(hp)
        trial.set_user_attr(PARAMS, {**params_of(trial), hp.name: value})
        return value

    return suggest_and_store


def _make_suggester(trial: optuna.Trial, own: Collection[str], record: KerasTunerModel) -> Callable[[Any], Scalar]:
    from studies.keras_tuner.mapping import variant_name
    from studies.keras_tuner.suggest import baseline_parameters, make_suggester

    def draw(name: str, parameter: Parameter) -> Scalar:
        if not _suggested_values(trial, name, parameter, baseline_parameters(record)):
            name = variant_name(name, parameter)
        if trial.number == 0:
            trial._fixed_params.setdefault(name, parameter.default)
        accept_values(trial, name, parameter, given_values(trial))
        try:
            return _suggest(trial, name, parameter)
        except ValueError as error:
            raise ModelError(
                f"model: the hyperparameter {name!r} must have the same kind and options in every trial "
                f"({error})\nhint: rename it"
            ) from error

    return make_suggester(own, draw, is_baseline=trial.number == 0)


def _suggested_values(trial: optuna.Trial, name: str, parameter: Parameter, known: Mapping[str, Parameter]) -> bool:
    """Return True if a name has these values in the study, or none yet.

    The values under the hypermodel's defaults come first, since every worker knows them before any trial. A name that
    the defaults do not lead to has the values of the first trial with it.
    """
    distribution = distribution_of(parameter)
    if name in trial.distributions:
        return bool(trial.distributions[name] == distribution)
    if name in known:
        return bool(distribution_of(known[name]) == distribution)
    others = trial.study.get_trials(deepcopy=False)
    first = next((each.distributions[name] for each in others if name in each.distributions), distribution)
    return bool(first == distribution)


def initial_assignments(
    space: Space, sampler: str, seed: int, chosen: Sequence[Mapping[str, Scalar]] = ()
) -> list[dict[str, Scalar]]:
    """Return the assignments that are fixed before the study begins, by trial number; the sampler chooses the others.

    Trial 0 is the baseline. A grid is fixed as a whole: its other assignments follow in an order drawn from the seed.

    Args:
        space: The space.
        sampler: Name of the sampler.
        seed: Seed of the study.
        chosen: Recipes of the user, which follow the baseline; parameters that are left out have their defaults.

    Raises:
        SpaceError: A recipe of the user is not in the space.
    """
    first = [baseline(space)]
    for index, values in enumerate(chosen):
        assignment = _completed(space, values, f"first[{index}]")
        first += [] if assignment in first else [assignment]
    if sampler != "grid":
        return first
    others = [point for point in grid_assignments(space) if point not in first]
    random.Random(seed).shuffle(others)
    return [*first, *others]


def _completed(space: Space, values: Mapping[str, Scalar], name: str) -> dict[str, Scalar]:
    """Return a recipe of the user with the defaults of the parameters that are left out."""
    assignment: dict[str, Scalar] = {}

    def choose(parameter_name: str, parameter: Parameter) -> Scalar:
        value = values.get(parameter_name, parameter.default)
        found = possible_value(parameter, value)
        assignment[parameter_name] = value if found is MISSING else found
        return assignment[parameter_name]

    try:
        fill(space, choose)
        resolve(space, {**values, **assignment})
    except SpaceError as error:
        raise SpaceError(f"{name}: {error}") from error
    return {**values, **assignment}


def max_trials(space: Space, sampler: str) -> float:
    """Return the number of different trials: the size of a grid, the steps of a `stepwise` study, else infinity."""
    if sampler not in ("grid", "stepwise"):
        return math.inf
    if isinstance(space.model, KerasTunerModel):
        raise SpaceError(
            f"model: the {sampler} sampler does not support KerasTuner models: their parameters are discovered while "
            "building\nhint: choose another --sampler"
        )
    endless = [each.name for each in flatten(space) if not each.parameter.values()]
    if endless:
        raise SpaceError(
            f"{endless[0]}: the {sampler} sampler requires a step for every Float\nhint: choose another --sampler"
        )
    if sampler == "stepwise":
        return 1 + len(steps(space))
    size = combinations(space)
    if size > MAX_GRID_SIZE:
        raise SpaceError(
            f"the grid has {size:,.0f} recipes, the limit is {MAX_GRID_SIZE:,}\nhint: choose another --sampler"
        )
    return size


def _suggest(trial: optuna.Trial, name: str, parameter: Parameter) -> Scalar:
    match parameter:
        case Int():
            return trial.suggest_int(name, parameter.low, parameter.high, step=parameter.step, log=parameter.log)
        case Float():
            return trial.suggest_float(name, parameter.low, parameter.high, step=parameter.step, log=parameter.log)
        case Choice():
            return trial.suggest_categorical(name, parameter.names)


def grid_assignments(space: Space) -> Iterator[dict[str, Scalar]]:
    """Yield the assignments of a finite space; conditional parameters appear only with their option."""
    parameters = flatten(space)

    def extend(index: int, point: dict[str, Scalar]) -> Iterator[dict[str, Scalar]]:
        if index == len(parameters):
            yield dict(point)
            return
        current = parameters[index]
        if any(point.get(name) != option for name, option in current.conditions):
            yield from extend(index + 1, point)
            return
        for value in current.parameter.values():
            yield from extend(index + 1, {**point, current.name: value})

    return itertools.islice(extend(0, {}), MAX_GRID_SIZE)


def _gp_sampler(seed: int) -> optuna.samplers.BaseSampler:
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise SpaceError(
            "the gp sampler requires PyTorch\nhint: pip install 'search[gp]', or choose another --sampler"
        ) from error
    return optuna.samplers.GPSampler(seed=seed, warn_independent_sampling=False)


SAMPLERS: Mapping[str, Callable[[int], optuna.samplers.BaseSampler]] = {
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True),
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    # The grid itself is fixed before the search; this draws what comes after it.
    "grid": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    # The steps depend on the trials so far; this draws what comes after them.
    "stepwise": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "gp": _gp_sampler,
    "cmaes": lambda seed: SafeCmaEsSampler(seed=seed, warn_independent_sampling=False),
}
"""Samplers of a study, by the names that `Study` accepts: each function makes one from a seed."""
