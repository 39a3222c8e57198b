"""The hyperparameters of a hypermodel, asked of a study."""

import re

import keras
import keras_tuner
import optuna
import pytest
from keras_tuner.errors import FailedTrialError

from spaces import Choice, Digits, Int, KerasTunerModel, Space
from spaces.errors import ModelError, SpaceError
from studies.database.stored_trials import PARAMS, params_of
from studies.keras_tuner.suggest import check_hypermodel, defaults_of, discover_hyperparameters
from studies.trials.samplers import make_sampler, max_trials, suggest, suggest_during_fit
from tests.studies.keras_tuner.hypermodels import SHAPE, Dense, two_kinds


def space_of(hypermodel, **fields):
    model = {name: fields.pop(name) for name in ("hyperparameters", "tune_new_entries") if name in fields}
    return Space(data=Digits(), model=KerasTunerModel(hypermodel, **model), epochs=3, **fields)


@pytest.fixture
def study():
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))


def test_the_baseline_has_every_default(study):
    """Trial 0 takes KerasTuner's defaults, and the study knows them."""
    trial = study.ask()
    recipe = suggest(trial, space_of(two_kinds))
    expected = {"kind": "mlp", "units": 8, "bias": True, "start": 0.0, "head/seed": 3, "head/dropout": 0.2}
    assert dict(recipe.model.values) == expected
    assert params_of(trial) == expected
    assert trial.params == {
        "kind": "mlp",
        "units [kind=mlp]": 8,
        "bias [kind=mlp]": True,
        "start [kind=mlp, bias=True]": 0.0,
        "head/dropout": 0.2,
    }


def test_names_and_values_do_not_depend_on_the_order_of_trials(study):
    """Whatever came before, a trial's parameters have the same names and distributions."""
    space = space_of(two_kinds)
    seen = {}
    for _ in range(12):
        trial = study.ask()
        recipe = suggest(trial, space)
        values = dict(recipe.model.values)
        assert values["units"] in (range(8, 17) if values["kind"] == "mlp" else (32, 64))
        assert ("bias" in values) == (values["kind"] == "mlp")
        for name, distribution in trial.distributions.items():
            assert seen.setdefault(name, distribution) == distribution
        study.tell(trial, 1.0)
    assert {"units [kind=mlp]", "units [kind=wide]"} <= seen.keys()


def test_an_adopted_trial_keeps_its_values(study):
    """A trial that is taken once more is the same one."""
    space = space_of(two_kinds, batch_size=Choice(16, 32))
    suggest(study.ask(), space)
    trial = study.ask()
    first = suggest(trial, space)
    again = optuna.Trial(study, trial._trial_id)
    study.sampler = optuna.samplers.RandomSampler(seed=9)
    assert suggest(again, space) == first
    assert {"batch_size", "kind"} <= params_of(again).keys()


def test_what_fit_asks_for_is_kept_with_the_trial(study):
    """A hyperparameter that is met only in `fit` is drawn then, and the same when asked again."""
    suggest(study.ask(), space_of(Dense()))
    trial = study.ask()
    ask = suggest_during_fit(trial, suggest(trial, space_of(Dense())))
    hp = keras_tuner.HyperParameters()
    hp.Int("rounds", 1, 1000)
    value = ask(hp.space[0])
    assert ask(hp.space[0]) == value == params_of(trial)["rounds"]
    assert trial.user_attrs[PARAMS].keys() == {"units", "learning_rate", "rounds"}


def overriding():
    """Hyperparameters that stand in place of those of `Dense`."""
    hp = keras_tuner.HyperParameters()
    hp.Fixed("units", 24)
    hp.values["learning_rate"] = 0.5
    return hp


def test_hyperparameters_can_be_overridden(study):
    """One that was declared, or given a value, beforehand stands in place of the hypermodel's own."""
    study.ask()
    trial = study.ask()
    recipe = suggest(trial, space_of(Dense(), hyperparameters=overriding()))
    assert dict(recipe.model.values) == {"units": 24, "learning_rate": 0.5}
    assert trial.params == {}


def test_new_entries_can_be_left_at_their_defaults(study):
    """With `tune_new_entries=False` only what was declared beforehand is searched."""
    hp = keras_tuner.HyperParameters()
    hp.Choice("units", [16, 48])
    study.ask()
    trial = study.ask()
    recipe = suggest(trial, space_of(Dense(), hyperparameters=hp, tune_new_entries=False))
    assert trial.params.keys() == {"units"}
    assert dict(recipe.model.values)["learning_rate"] == 1e-2


def test_a_name_that_the_space_has_too_is_refused():
    """One name cannot mean two parameters."""

    def build(hp):
        hp.Int("batch_size", 16, 64)

    with pytest.raises(ModelError, match="both the hypermodel and the space have a parameter 'batch_size'"):
        check_hypermodel(space_of(build, batch_size=Choice(16, 32)))


def dependent(hp):
    """Options, bounds and a fixed value that depend on another hyperparameter."""
    kind = hp.Choice("kind", ["a", "b", "c"])
    hp.Choice("units", {"a": [32, 64], "b": [128, 256], "c": [512]}[kind])
    hp.Int("layers", 1, 2 if kind == "a" else 5)
    hp.Fixed("seed", 1 if kind == "a" else 2)
    if kind != "a":
        hp.Choice("late", ["x", "y"] if kind == "b" else ["x", "z"])
    return keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(10)])


def test_options_that_depend_on_another_hyperparameter_are_all_searched(study):
    """Each set of options is a parameter of its own, whose name is the same in every trial and worker."""
    space = space_of(dependent)
    seen, names = set(), {}
    for number in range(60):
        trial = study.ask()
        values = dict(suggest(trial, space).model.values)
        seen.add((values["kind"], values["units"], values["layers"] <= 2, values["seed"], values.get("late")))
        for name, distribution in trial.distributions.items():
            assert names.setdefault(name, distribution) == distribution
        assert values == params_of(trial)
        again = optuna.Trial(study, trial._trial_id)
        assert dict(suggest(again, space).model.values) == values
        study.tell(trial, float(number))
    found = {(kind, units) for kind, units, *_ in seen}
    assert found == {("a", 32), ("a", 64), ("b", 128), ("b", 256), ("c", 512)}
    assert {kind for kind, _, is_small, seed, _ in seen if not is_small and seed == 2} == {"b", "c"}
    assert {(kind, late) for kind, *_, late in seen if late} == {("b", "x"), ("b", "y"), ("c", "x"), ("c", "z")}
    assert {"units", "units {128|256}", "layers", "layers {1..5}", "late"} <= names.keys()


@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_samplers_learn_from_options_that_change(sampler):
    """No sampler meets two sets of options under one name."""
    study = optuna.create_study()
    for number in range(14):
        study.sampler = make_sampler(sampler, number)
        trial = study.ask()
        suggest(trial, space_of(dependent))
        study.tell(trial, float(number))
    assert len(study.get_trials(states=[optuna.trial.TrialState.COMPLETE])) == 14


def test_options_met_in_fit_may_change_too(study):
    """The first trial's have the name, others one with their options."""
    space = space_of(Dense())
    values = []
    for options in (["a", "b"], ["c", "d"], ["a", "b"]):
        trial = study.ask()
        ask = suggest_during_fit(trial, suggest(trial, space))
        hp = keras_tuner.HyperParameters()
        hp.Choice("x", options)
        assert ask(hp.space[0]) in options
        values.append(set(trial.params) - {"units", "learning_rate"})
        study.tell(trial, 1.0)
    assert values == [{"x"}, {"x {s: c|d}"}, {"x"}] or values == [{"x"}, {"x {c|d}"}, {"x"}]


def test_one_name_for_two_ranges_in_one_build_is_refused():
    """KerasTuner would give both the value of the first."""

    def build(hp):
        hp.Int("units", 1, 4)
        hp.Int("units", 100, 400)
        return two_kinds(hp)

    with pytest.raises(ModelError, match="'units' is declared twice with different values, 1 to 4 and 100 to 400"):
        check_hypermodel(space_of(build))

    def equal(hp):
        hp.Int("again", 1, 4)
        hp.Int("again", 1, 4, default=2)
        return two_kinds(hp)

    check_hypermodel(space_of(equal))


class Declaring(Dense):
    """Declares hyperparameters before it builds."""

    def declare_hyperparameters(self, hp):
        hp.Choice("units", [24, 48])
        hp.Int("elsewhere", 1, 9)


def test_declared_hyperparameters_are_searched(study):
    """`declare_hyperparameters` is called before `build`, and its values count, as in a tuner."""
    study.ask()
    for _ in range(3):
        trial = study.ask()
        values = dict(suggest(trial, space_of(Declaring())).model.values)
        assert values["units"] in (24, 48)
        assert values["elsewhere"] in range(1, 10)
    rows, _ = discover_hyperparameters(space_of(Declaring()))
    assert ("units", "24, 48") in [(row.name, row.values) for row in rows]


class Narrow:
    """Builds only with more than two layers, which its defaults do not have."""

    def __init__(self, error):
        self.error = error

    def build(self, hp):
        if hp.Int("layers", 1, 8) < 3:
            raise self.error
        return two_kinds(hp)


@pytest.mark.parametrize("error", [ValueError("no"), optuna.TrialPruned("no"), FailedTrialError("no")])
def test_defaults_that_cannot_be_built_are_told(error, study):
    """Where other combinations can, the baseline alone fails, and the search begins."""
    space = space_of(Narrow(error))
    [notice] = check_hypermodel(space)
    assert re.match("The defaults cannot be built.*no$", notice)
    assert dict(defaults_of(space)) == {"layers": 1}
    rows, values = discover_hyperparameters(space)
    assert {"layers", "kind"} <= {row.name for row in rows}
    assert values == {"layers": 1}
    assert dict(suggest(study.ask(), space).model.values) == {"layers": 1}


def test_what_never_builds_is_refused():
    """The message is that of the defaults."""

    def build(hp):
        raise KeyError(f"layer {hp.Int('layers', 1, 8)}")

    with pytest.raises(ModelError, match="KeyError: 'layer 1'"):
        check_hypermodel(space_of(build))
    with pytest.raises(ModelError, match="KeyError: 'layer 1'"):
        discover_hyperparameters(space_of(build))


def test_parameters_without_effect_are_refused():
    """A hypermodel that compiles its model leaves nothing for the space's learning rate."""

    def compiled(hp):
        model = two_kinds(hp)
        model.compile(loss="mse")
        return model

    with pytest.raises(ModelError, match="learning_rate: has no effect"):
        check_hypermodel(space_of(compiled, learning_rate=Choice(0.1, 0.2)))
    check_hypermodel(space_of(two_kinds, learning_rate=Choice(0.1, 0.2)))


def test_a_grid_is_refused():
    """Parameters that are found while building have no grid."""
    with pytest.raises(SpaceError, match="the grid sampler does not support"):
        max_trials(space_of(two_kinds), "grid")


def test_the_space_of_a_hypermodel_may_hold_parameters_of_its_own(study):
    """The space's own parameters are asked for first."""
    trial = study.ask()
    suggest(trial, Space(data=Digits(), model=KerasTunerModel(Dense()), epochs=Int(2, 4)))
    assert list(trial.params) == ["epochs", "units", "learning_rate"]
