"""A hyperparameter of KerasTuner as a parameter of a study."""

import keras_tuner
import pytest

from spaces.parameters import Choice, Float, Int
from studies.keras_tuner.mapping import map_hyperparameter, possible_values


def declared(method, *args, **kwargs):
    """Return the hyperparameter that a call declares."""
    hp = keras_tuner.HyperParameters()
    getattr(hp, method)("x", *args, **kwargs)
    return hp.space[-1]


@pytest.mark.parametrize(
    ("hp", "parameter"),
    [
        (declared("Int", 1, 9), Int(1, 9, default=1)),
        (declared("Int", 6, 13, step=3, default=9), Int(6, 12, step=3, default=9)),
        (declared("Int", 2, 64, sampling="log", default=8), Int(2, 64, log=True, default=8)),
        (declared("Float", 0.0, 1.0), Float(0.0, 1.0, default=0.0)),
        (declared("Float", 0, 1, step=0.2), Float(0.0, 1.0, step=0.2, default=0.0)),
        (declared("Float", 1e-4, 1e-1, sampling="log"), Float(1e-4, 1e-1, log=True, default=1e-4)),
        (declared("Choice", ["a", "b"], default="b"), Choice("a", "b", default="b")),
        (declared("Choice", [1, 2, 4], ordered=True), Choice(1, 2, 4)),
        (declared("Boolean"), Choice(True, False, default=False)),
    ],
)
def test_bounds_steps_scales_options_and_defaults_are_mapped(hp, parameter):
    """The parameter has the same values as the hyperparameter."""
    found = map_hyperparameter(hp)
    assert (found.parameter, found.name, found.value(parameter.default)) == (parameter, "x", hp.default)


@pytest.mark.parametrize(
    ("hp", "values"),
    [
        (declared("Int", 2, 32, step=2, sampling="log"), [2, 4, 8, 16, 32]),
        (declared("Float", 0.001, 10, step=10, sampling="log"), [0.001, 0.01, 0.1, 1.0, 10.0]),
        (declared("Int", 1, 8, step=2, sampling="reverse_log"), [8, 7, 5, 1]),
    ],
)
def test_logarithmic_steps_are_drawn_by_position(hp, values):
    """A study draws the position among the values that KerasTuner's documentation lists."""
    found = map_hyperparameter(hp)
    assert possible_values(hp) == values
    assert [found.value(index) for index in found.parameter.values()] == values


@pytest.mark.parametrize("kind", ["Int", "Float"])
def test_reverse_log_is_dense_near_the_upper_bound(kind):
    """The mirror image of log: the lowest draw is the highest value, and the bounds are kept."""
    found = map_hyperparameter(declared(kind, 1, 101, sampling="reverse_log", default=92))
    assert found.parameter.log
    assert [found.value(drawn) for drawn in (1, 10, 101)] == [101, 92, 1]
    assert found.value(found.parameter.default) == 92


@pytest.mark.parametrize(
    ("hp", "default"),
    [
        (declared("Int", 0, 10, step=4, default=5), 4),
        (declared("Float", 0.0, 1.0, default=3.0), 1.0),
        (declared("Int", 2, 32, step=2, sampling="log", default=15), 3),
        *((declared(*single), None) for single in (("Fixed", 3), ("Choice", [7]), ("Int", 4, 4))),
    ],
)
def test_default_is_the_nearest_possible_value(hp, default):
    """KerasTuner accepts any default, a study only possible values; a single value has no parameter."""
    found = map_hyperparameter(hp)
    assert (found and found.parameter.default) == default


def test_name_depends_only_on_the_conditions():
    """One name under two conditions is two parameters, whichever is declared first."""
    hp = keras_tuner.HyperParameters()
    hp.Choice("kind", ["a", "b", "c"])
    with hp.name_scope("head"):
        hp.Int("units", 1, 9)
    with hp.conditional_scope("kind", ["a"]):
        hp.Int("units", 1, 3)
    with hp.conditional_scope("kind", ["b", "c"]):
        hp.Boolean("deep")
        with hp.conditional_scope("deep", [False]):
            hp.Float("units", 1, 3)
    names = [map_hyperparameter(each).name for each in hp.space]
    assert names == ["kind", "head/units", "units [kind=a]", "deep [kind=b|c]", "units [kind=b|c, deep=False]"]
