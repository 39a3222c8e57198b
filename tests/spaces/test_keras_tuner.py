"""A hypermodel as part of a space, before KerasTuner or Keras is imported."""

import subprocess
import sys

import pytest

from spaces import (
    CNN,
    Augment,
    Choice,
    Digits,
    Float,
    Int,
    KerasTunerModel,
    Space,
    SpaceError,
    baseline,
    combinations,
    differences,
    fingerprint,
    flatten,
    resolve,
    to_json,
)


class Hyper:
    """What a hypermodel looks like to a space."""

    def __init__(self, units=3):
        self.units = units

    def build(self, hp):
        return self.units


def build(hp):
    return hp


def space_of(hypermodel=build, **fields):
    return Space(data=Digits(), model=KerasTunerModel(hypermodel), epochs=3, **fields)


def test_nothing_is_searched_that_the_hypermodel_decides():
    """Fields that are left out hold single values beside a hypermodel."""
    space = space_of()
    assert flatten(space) == []
    assert combinations(space) == 1
    assert (space.backbone, space.augment, space.batch_size) == (None, None, 32)


def test_batch_size_and_epochs_may_hold_parameters():
    """What the space decides itself can be searched."""
    space = Space(data=Digits(), model=KerasTunerModel(build), batch_size=Choice(16, 32), epochs=Int(3, 9))
    assert [each.name for each in flatten(space)] == ["batch_size", "epochs"]


def test_stored_parameters_make_a_recipe_again():
    """What is no parameter of the space is a hyperparameter's value, and stands in the recipe by its own name."""
    recipe = resolve(space_of(batch_size=Choice(16, 32)), {"batch_size": 16, "head/units": 64, "kind": "cnn"})
    assert recipe.batch_size == 16
    assert dict(recipe.model.values) == {"head/units": 64, "kind": "cnn"}
    assert to_json(recipe)["model"]["values"] == {"head/units": 64, "kind": "cnn"}
    assert hash(recipe) == hash(resolve(recipe, {"head/units": 64, "kind": "cnn"}))


def test_an_unknown_parameter_is_refused_without_a_hypermodel():
    """Only a hypermodel has hyperparameters that a space does not know."""
    space = Space(data=Digits(), backbone=CNN(), epochs=3)
    with pytest.raises(SpaceError, match="units: is not a parameter"):
        resolve(space, {**baseline(space), "units": 3})


def test_the_fingerprint_follows_the_source_and_what_the_hypermodel_holds():
    """Another class, another method or another constructor argument is another space."""

    class Other(Hyper):
        def build(self, hp):
            return self.units + 1

    prints = {fingerprint(space_of(each)) for each in (Hyper(), Hyper(4), Other(), build)}
    assert len(prints) == 4
    assert fingerprint(space_of(Hyper())) == fingerprint(space_of(Hyper()))


def test_differences_name_the_hypermodel():
    """A changed hypermodel is told with its name, as a changed function is."""
    lines = differences(to_json(space_of(Hyper())), to_json(space_of(Hyper(4))))
    assert [line.split(",")[0] for line in lines] == ["- model.hypermodel = Hyper()", "+ model.hypermodel = Hyper()"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: KerasTunerModel(Hyper), r"got the class Hyper: write Hyper\(\.\.\.\)"),
        (lambda: KerasTunerModel(3), "takes a keras_tuner.HyperModel or a function build"),
        (lambda: KerasTunerModel(build, hyperparameters=3), "must be keras_tuner.HyperParameters, got 3"),
        (lambda: space_of(dropout=Float(0.0, 0.5)), "dropout: must be fixed|dropout: has no effect"),
        (lambda: space_of(augment=Augment(zoom=0.1)), "augment: has no effect beside KerasTunerModel"),
        (lambda: space_of(backbone=CNN()), "model: stands in place of backbone"),
        (lambda: KerasTunerModel(build, rescale=2) and space_of(build, precision=3), "precision: must be"),
        (
            lambda: Space(data=Digits(), model=Choice(KerasTunerModel(build), KerasTunerModel(Hyper()))),
            "cannot be an option of a Choice",
        ),
    ],
)
def test_what_cannot_be_is_told_in_one_sentence(make, message):
    """A wrong hypermodel, or a field that it makes useless, fails while the space is read."""
    with pytest.raises(SpaceError, match=message):
        make()


def test_keras_tuner_is_not_imported_by_a_space():
    """A space file without KerasTuner costs nothing."""
    code = "import sys, spaces; sys.exit('keras_tuner' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def fake(name, base, /, **members):
    """A class that looks like one of KerasTuner's, which a space does not import."""
    kind = type(base, (), {"__module__": f"keras_tuner.src.engine.{base.lower()}", "__init__": lambda self: None})
    return type(name, (kind,), {"__module__": "users", **members})


Objective = fake("Objective", "Objective", name="val_auc", direction="max")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (fake("RandomSearch", "BaseTuner"), r"got a tuner, RandomSearch: pass the tuner's hypermodel"),
        (fake("RandomSearch", "BaseTuner")(), r"pass the tuner's hypermodel, and set Study\(trials="),
        (
            fake("Mine", "BaseTuner", run_trial=lambda self: None)(),
            r"a tuner, Mine: .*fit\(hp, model, ...\).*Space\(folds=5\).*Space\(batch_size=Choice\(16, 32, 64\)\)",
        ),
        (fake("Random", "Oracle")(), r'got an oracle, Random: set Study\(sampler="tpe"\)'),
        (Objective(), r'got an objective, Objective: set Space\(metric=...\) instead: write metric="val_auc"'),
        (fake("HyperParameters", "HyperParameters")(), r"KerasTunerModel\(hypermodel, hyperparameters=...\)"),
        (
            type("Model", (Hyper,), {"run_trial": lambda self: None})(),
            r"got Model, but its run_trial\(\) is not called",
        ),
        ("resnet", "got 'resnet'"),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_other_objects_of_keras_tuner_are_named_with_what_replaces_them(given, message):
    """A tuner, an oracle or an objective in place of a hypermodel, or a method that only a tuner has."""
    with pytest.raises(SpaceError, match=message):
        KerasTunerModel(given)
    if not isinstance(given, str):
        with pytest.raises(SpaceError, match="KerasTunerModel"):
            Space(data=Digits(), model=given)


def test_an_objective_is_no_metric():
    """The message says which name to write, and where the direction is another."""
    with pytest.raises(
        SpaceError, match='metric: takes the name of a metric, got an objective: write metric="val_auc"'
    ):
        space_of(metric=Objective())
    upside_down = fake("Objective", "Objective", name="val_loss", direction="max")()
    with pytest.raises(SpaceError, match=r'write metric="val_loss" \(val_loss is always minimized\)'):
        space_of(metric=upside_down)
    with pytest.raises(SpaceError, match="takes one metric, got 2 objectives"):
        space_of(metric=[Objective(), upside_down])


def test_a_hypermodel_without_its_record_is_told():
    """`Space(model=...)` takes a record around it."""
    with pytest.raises(SpaceError, match=r"model: must be .*: write KerasTunerModel\(...\) around a hypermodel"):
        Space(data=Digits(), model=Hyper())
