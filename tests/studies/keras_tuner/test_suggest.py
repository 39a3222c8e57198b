"""The hyperparameters of a hypermodel, drawn from a study."""

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
    return Space(data=Digits(), model=KerasTunerModel(hypermodel, **model), **{"epochs": 3, **fields})


@pytest.fixture
def study():
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))


def draw(study, space):
    """Return the next trial and the values of its hyperparameters."""
    trial = study.ask()
    return trial, dict(suggest(trial, space).model.values)


def explore(study, space, trials):
    """Return the values of some trials, and the names of their parameters; each name has one distribution."""
    seen, names = [], {}
    for number in range(trials):
        trial, values = draw(study, space)
        assert values == params_of(trial) == dict(suggest(optuna.Trial(study, trial._trial_id), space).model.values)
        for name, distribution in trial.distributions.items():
            assert names.setdefault(name, distribution) == distribution
        seen.append(values)
        study.tell(trial, float(number))
    return seen, names.keys()


def test_baseline_has_every_default(study):
    """Trial 0 has KerasTuner's defaults, under the names of the study."""
    trial, values = draw(study, space_of(two_kinds))
    expected = {"kind": "mlp", "units": 8, "bias": True, "start": 0.0, "head/seed": 3, "head/dropout": 0.2}
    assert values == params_of(trial) == expected
    conditional = {"units [kind=mlp]": 8, "bias [kind=mlp]": True, "start [kind=mlp, bias=True]": 0.0}
    assert trial.params == {"kind": "mlp", **conditional, "head/dropout": 0.2}


def test_names_and_distributions_do_not_depend_on_earlier_trials(study):
    """The conditions alone decide which parameters a trial has."""
    seen, names = explore(study, space_of(two_kinds), 12)
    for values in seen:
        assert values["units"] in (range(8, 17) if values["kind"] == "mlp" else (32, 64))
        assert ("bias" in values) == (values["kind"] == "mlp")
    assert names >= {"units [kind=mlp]", "units [kind=wide]"}


def test_retried_trial_keeps_its_values(study):
    """Another worker that claims a trial draws the same values, whatever its sampler."""
    space = space_of(two_kinds, batch_size=Choice(16, 32), epochs=Int(2, 4))
    suggest(study.ask(), space)
    trial = study.ask()
    first = suggest(trial, space)
    assert list(trial.params)[:3] == ["batch_size", "epochs", "kind"]
    again = optuna.Trial(study, trial._trial_id)
    study.sampler = optuna.samplers.RandomSampler(seed=9)
    assert suggest(again, space) == first
    assert {"batch_size", "kind"} <= params_of(again).keys()


@pytest.mark.parametrize("tunes_new", [True, False])
def test_hyperparameters_can_be_overridden(study, tunes_new):
    """One declared or set beforehand replaces the hypermodel's own; `tune_new_entries=False` fixes all others."""
    hp = keras_tuner.HyperParameters()
    hp.Choice("units", [17, 48])
    if tunes_new:
        hp.values["learning_rate"] = 0.5
    study.ask()
    trial, values = draw(study, space_of(Dense(), hyperparameters=hp, tune_new_entries=tunes_new))
    assert trial.params.keys() == {"units"}
    assert values["units"] in (17, 48)
    assert values["learning_rate"] == (0.5 if tunes_new else 1e-2)


def build_two_ranges(hp):
    hp.Int("units", 1, 4)
    hp.Int("units", 100, 400)
    return two_kinds(hp)


def build_compiled(hp):
    model = two_kinds(hp)
    model.compile(loss="mse")
    return model


def build_nothing(hp):
    raise KeyError(f"layer {hp.Int('layers', 1, 8)}")


@pytest.mark.parametrize(
    ("build", "fields", "message"),
    [
        (lambda hp: hp.Int("batch_size", 1, 9), {"batch_size": Choice(1, 2)}, "both .* a parameter 'batch_size'"),
        (build_two_ranges, {}, "'units' is declared twice with different values, 1 to 4 and 100 to 400"),
        (build_compiled, {"learning_rate": Choice(0.1, 0.2)}, "learning_rate: has no effect"),
        (build_nothing, {}, "KeyError: 'layer 1'"),
    ],
)
def test_hypermodels_that_cannot_be_searched_are_refused(build, fields, message):
    """A name means one range, every parameter has an effect, and some combination builds."""
    with pytest.raises(ModelError, match=message):
        check_hypermodel(space_of(build, **fields))
    if build is build_nothing:
        with pytest.raises(ModelError, match=message):
            discover_hyperparameters(space_of(build))
    with pytest.raises(SpaceError, match="the grid sampler does not support"):
        max_trials(space_of(build), "grid")


def test_equal_declarations_and_parameters_with_an_effect_are_accepted():
    """A range may be declared twice; the space's learning rate counts if `build` does not compile."""

    def build(hp):
        hp.Int("again", 1, 4)
        hp.Int("again", 1, 4, default=2)
        return two_kinds(hp)

    check_hypermodel(space_of(build, learning_rate=Choice(0.1, 0.2)))


def dependent(hp):
    """Options, bounds and a fixed value that depend on another hyperparameter."""
    kind = hp.Choice("kind", ["a", "b", "c"])
    hp.Choice("units", {"a": [32, 64], "b": [128, 256], "c": [512]}[kind])
    hp.Int("layers", 1, 2 if kind == "a" else 5)
    hp.Fixed("seed", 1 if kind == "a" else 2)
    if kind != "a":
        hp.Choice("late", ["x", "y"] if kind == "b" else ["x", "z"])
    return keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(10)])


def test_conditional_options_are_all_searched(study):
    """Each set of options is a separate parameter, with the same name in every trial and worker."""
    seen, names = explore(study, space_of(dependent), 60)
    found = {(each["kind"], each["units"]) for each in seen}
    assert found == {("a", 32), ("a", 64), ("b", 128), ("b", 256), ("c", 512)}
    assert {each["kind"] for each in seen if each["layers"] > 2 and each["seed"] == 2} == {"b", "c"}
    late = {(each["kind"], each["late"]) for each in seen if "late" in each}
    assert late == {("b", "x"), ("b", "y"), ("c", "x"), ("c", "z")}
    assert names >= {"units", "units {128|256}", "layers", "layers {1..5}", "late"}


@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_samplers_learn_from_conditional_options(sampler):
    """No sampler sees two sets of options under one name."""
    study = optuna.create_study()
    for number in range(14):
        study.sampler = make_sampler(sampler, number)
        study.tell(draw(study, space_of(dependent))[0], float(number))
    assert len(study.get_trials(states=[optuna.trial.TrialState.COMPLETE])) == 14


def test_hyperparameters_of_fit_are_stored_and_may_change_their_options(study):
    """One is drawn once per trial; the first options have the plain name, others a name that includes them."""
    space = space_of(Dense())
    values = []
    for options in (["a", "b"], ["c", "d"], ["a", "b"]):
        trial = study.ask()
        ask = suggest_during_fit(trial, suggest(trial, space))
        hp = keras_tuner.HyperParameters()
        hp.Choice("x", options)
        value = ask(hp.space[0])
        assert value in options
        assert ask(hp.space[0]) == value == params_of(trial)["x"]
        assert trial.user_attrs[PARAMS].keys() == {"units", "learning_rate", "x"}
        values.append(set(trial.params) - {"units", "learning_rate"})
        study.tell(trial, 1.0)
    assert values in ([{"x"}, {"x {s: c|d}"}, {"x"}], [{"x"}, {"x {c|d}"}, {"x"}])


class Declaring(Dense):
    """Declares hyperparameters before it builds."""

    def declare_hyperparameters(self, hp):
        hp.Choice("units", [24, 48])
        hp.Int("elsewhere", 1, 9)


def test_declared_hyperparameters_are_searched(study):
    """`declare_hyperparameters` runs before `build`, and its values count, as in a tuner."""
    study.ask()
    _, values = draw(study, space_of(Declaring()))
    assert (values["units"] in (24, 48), values["elsewhere"] in range(1, 10)) == (True, True)
    rows, _ = discover_hyperparameters(space_of(Declaring()))
    assert ("units", "24, 48") in [(row.name, row.values) for row in rows]


@pytest.mark.parametrize("error", [ValueError("no"), optuna.TrialPruned("no"), FailedTrialError("no")])
def test_defaults_that_cannot_be_built_give_a_notice(error, study):
    """If other combinations can be built, only the baseline fails, and the study starts."""

    def build(hp):
        if hp.Int("layers", 1, 8) < 3:
            raise error
        return two_kinds(hp)

    space = space_of(build)
    [notice] = check_hypermodel(space)
    assert re.match("The defaults cannot be built.*no$", notice)
    assert dict(defaults_of(space)) == {"layers": 1}
    rows, values = discover_hyperparameters(space)
    assert {"layers", "kind"} <= {row.name for row in rows}
    assert values == {"layers": 1}
    assert dict(suggest(study.ask(), space).model.values) == {"layers": 1}
