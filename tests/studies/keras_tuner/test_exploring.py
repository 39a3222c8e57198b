"""The hyperparameters that building a hypermodel discovers, as the rows of a table."""

import keras

from studies.keras_tuner.suggest import discover_hyperparameters
from tests.studies.keras_tuner.hypermodels import SHAPE, two_kinds
from tests.studies.keras_tuner.test_suggest import dependent, space_of


def test_table_has_values_defaults_and_conditions():
    """Also those of hyperparameters that do not exist under the defaults."""
    rows, values = discover_hyperparameters(space_of(two_kinds))
    found = {(row.name, row.condition): (row.values, row.default) for row in rows}
    expected = {
        ("kind", ""): ("mlp, wide", "mlp"),
        ("units", "kind = mlp"): ("8 to 16", "8"),
        ("start", "kind = mlp and bias = True"): ("0 to 1", "0"),
        ("head/dropout", ""): ("0 to 0.5 in steps of 0.1", "0.2"),
        ("units", "kind = wide"): ("32, 64", "32"),
    }
    assert found.items() >= expected.items()
    assert (values["units"], values["head/dropout"]) == (8, 0.2)


def nested(hp):
    """Scopes in scopes, a loop, and a branch without a scope."""
    kind = hp.Choice("kind", ["mlp", "cnn", "none"])
    with hp.conditional_scope("kind", ["mlp", "cnn"]):
        if kind in ("mlp", "cnn"):
            norm = hp.Choice("norm", ["none", "batch"])
            with hp.conditional_scope("norm", ["batch"]):
                if norm == "batch":
                    deep = hp.Boolean("deep")
                    with hp.conditional_scope("deep", [True]):
                        if deep:
                            hp.Float("momentum", 0.5, 0.99)
    for layer in range(hp.Int("layers", 1, 3)):
        hp.Int(f"units_{layer}", 8, 64)
    if kind == "none":
        hp.Choice("pool", ["max", "mean"])
    return keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(10)])


def test_hyperparameters_of_every_branch_are_discovered():
    """Each has the conditions under which it exists."""
    rows, _ = discover_hyperparameters(space_of(nested))
    momentum = ("momentum", "kind = mlp or cnn and norm = batch and deep = True")
    assert {(row.name, row.condition) for row in rows} >= {momentum, ("units_2", "layers = 3"), ("pool", "kind = none")}
    rows, _ = discover_hyperparameters(space_of(dependent))
    assert ("units", "128, 256", "kind = b") in {(row.name, row.values, row.condition) for row in rows}
