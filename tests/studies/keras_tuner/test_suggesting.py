"""The hyperparameters of a hypermodel, asked of a study."""

import keras_tuner
import optuna
import pytest

from spaces import Choice, Digits, Int, KerasTunerModel, Space
from spaces.errors import ModelError, SpaceError
from studies.keras_tuner.suggesting import check_hypermodel, met_by_building
from studies.sampling import asking_in_fit, most_trials, suggest
from studies.trials import PARAMS, params_of
from tests.studies.keras_tuner.hypermodels import Dense, two_kinds


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
    ask = asking_in_fit(trial, suggest(trial, space_of(Dense())))
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

    with pytest.raises(ModelError, match="a hyperparameter 'batch_size', and so has the space"):
        check_hypermodel(space_of(build, batch_size=Choice(16, 32)))


def test_a_name_with_two_meanings_is_told(study):
    """Options that change from trial to trial cannot be stored, and the message says what to do."""
    options = iter((["a", "b"], ["a", "c"]))

    def build(hp):
        hp.Choice("x", next(options))

    space = space_of(build)
    suggest(study.ask(), space)
    trial = study.ask()
    ask = asking_in_fit(trial, suggest(trial, space))
    hp = keras_tuner.HyperParameters()
    hp.Choice("x", ["a", "d"])
    with pytest.raises(ModelError, match="'x' must have the same kind and options in every trial"):
        ask(hp.space[0])


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
    with pytest.raises(SpaceError, match="use another --sampler than grid"):
        most_trials(space_of(two_kinds), "grid")


def test_hyperparameters_in_words():
    """What building comes upon, also in scopes that the defaults leave closed: values, defaults and conditions."""
    rows, values = met_by_building(space_of(two_kinds))
    told = {(row.name, row.condition): (row.values, row.default) for row in rows}
    assert told["kind", ""] == ("mlp, wide", "mlp")
    assert told["units", "kind = mlp"] == ("8 to 16", "8")
    assert told["start", "kind = mlp and bias = True"] == ("0 to 1", "0")
    assert told["head/dropout", ""] == ("0 to 0.5 in steps of 0.1", "0.2")
    assert told["units", "kind = wide"] == ("32, 64", "32")
    assert (values["units"], values["head/dropout"]) == (8, 0.2)


def test_the_space_of_a_hypermodel_may_hold_parameters_of_its_own(study):
    """The space's own parameters are asked for first."""
    trial = study.ask()
    suggest(trial, Space(data=Digits(), model=KerasTunerModel(Dense()), epochs=Int(2, 4)))
    assert list(trial.params) == ["epochs", "units", "learning_rate"]
