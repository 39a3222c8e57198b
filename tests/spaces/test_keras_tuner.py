"""Hypermodels in a space, without importing KerasTuner or Keras."""

import pytest

from spaces import CNN, Augment, Choice, Digits, Float, Int, KerasTunerModel, Space, SpaceError
from spaces.canonical import differences, fingerprint, to_json
from spaces.space import combinations, flatten, resolve


class Hyper:
    """The shape of a hypermodel."""

    def __init__(self, units=3):
        self.units = units

    def build(self, hp):
        return self.units


def build(hp):
    return hp


def space_of(hypermodel=build, **fields):
    return Space(data=Digits(), model=KerasTunerModel(hypermodel), **{"epochs": 3, **fields})


def test_fields_that_the_hypermodel_sets_are_not_searched():
    """Their defaults are fixed values; other fields may hold parameters."""
    space = space_of()
    assert (combinations(space), space.backbone, space.augment, space.batch_size) == (1, None, None, 32)
    searched = space_of(batch_size=Choice(16, 32), epochs=Int(3, 9))
    assert [each.name for each in flatten(searched)] == ["batch_size", "epochs"]


def test_assignments_include_hyperparameters():
    """A name that is not a parameter of the space is a hyperparameter, whose value is stored in the recipe."""
    recipe = resolve(space_of(batch_size=Choice(16, 32)), {"batch_size": 16, "head/units": 64, "kind": "cnn"})
    assert recipe.batch_size == 16
    assert dict(recipe.model.values) == {"head/units": 64, "kind": "cnn"}
    assert to_json(recipe)["model"]["values"] == {"head/units": 64, "kind": "cnn"}
    assert hash(recipe) == hash(resolve(recipe, {"head/units": 64, "kind": "cnn"}))


def test_fingerprint_covers_source_and_attributes():
    """Another class, another method or another constructor argument is another space."""

    class Other(Hyper):
        def build(self, hp):
            return self.units + 1

    prints = {fingerprint(space_of(each)) for each in (Hyper(), Hyper(4), Other(), build)}
    assert len(prints) == 4
    assert fingerprint(space_of(Hyper())) == fingerprint(space_of(Hyper()))


def test_differences_name_the_hypermodel():
    """A changed hypermodel is listed by name, as a changed function is."""
    lines = differences(to_json(space_of(Hyper())), to_json(space_of(Hyper(4))))
    assert [line.split(",")[0] for line in lines] == ["- model.hypermodel = Hyper()", "+ model.hypermodel = Hyper()"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: KerasTunerModel(Hyper), r"got the class Hyper\nhint: write Hyper\(\.\.\.\)"),
        (lambda: KerasTunerModel(3), r"expected a keras_tuner.HyperModel or a function build\(hp\), got 3"),
        (lambda: KerasTunerModel("resnet"), "got 'resnet'"),
        (lambda: KerasTunerModel(build, hyperparameters=3), "got 3, expected keras_tuner.HyperParameters"),
        (lambda: space_of(dropout=Float(0.0, 0.5)), r"^dropout: has no effect with KerasTunerModel.*\nhint: remove"),
        (lambda: space_of(augment=Augment(zoom=0.1)), "^augment: has no effect with KerasTunerModel"),
        (lambda: space_of(backbone=CNN()), "^model: got a backbone as well"),
        (lambda: Space(Digits(), model=Hyper()), r"^model: got .*\nhint: write KerasTunerModel\(...\) around"),
        (lambda: Space(Digits(), model=Choice(KerasTunerModel(build), None)), "cannot be an option of a Choice"),
    ],
)
def test_wrong_hypermodels_and_fields_are_errors(make, message):
    """They fail while the space is read."""
    with pytest.raises(SpaceError, match=message):
        make()


def fake(name, base, /, **members):
    """A class with the module and name of one of KerasTuner's."""
    kind = type(base, (), {"__module__": f"keras_tuner.src.engine.{base.lower()}", "__init__": lambda self: None})
    return type(name, (kind,), {"__module__": "users", **members})


Objective = fake("Objective", "Objective", name="val_auc", direction="max")
UPSIDE_DOWN = fake("Objective", "Objective", name="val_loss", direction="max")()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (fake("RandomSearch", "BaseTuner"), r"a tuner, RandomSearch\nhint: pass the tuner's hypermodel"),
        (fake("RandomSearch", "BaseTuner")(), r"pass the tuner's hypermodel, and set Study\(trials="),
        (
            fake("Mine", "BaseTuner", run_trial=lambda self: None)(),
            r"a tuner, Mine\n.*fit\(hp, model, ...\).*Space\(folds=5\).*Space\(batch_size=Choice\(16, 32, 64\)\)",
        ),
        (fake("Random", "Oracle")(), r'an oracle, Random\nhint: set Study\(sampler="tpe"\)'),
        (Objective(), r'an objective, Objective\nhint: set metric="val_auc" in Space'),
        (fake("HyperParameters", "HyperParameters")(), r"KerasTunerModel\(hypermodel, hyperparameters=...\)"),
        (type("Model", (Hyper,), {"run_trial": lambda self: None})(), r"Model\nhint: move run_trial\(\)"),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_hint_replaces_other_objects_of_keras_tuner(given, message):
    """A tuner, an oracle, an objective, or a method that only a tuner has."""
    with pytest.raises(SpaceError, match=message):
        KerasTunerModel(given)
    with pytest.raises(SpaceError, match=rf"(?s)^model: .*takes a hypermodel, not .*{message}"):
        Space(data=Digits(), model=given)


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (Objective(), 'got an objective, expected the name of a metric\nhint: set metric="val_auc"'),
        (UPSIDE_DOWN, r'hint: set metric="val_loss" \(val_loss is always minimized\)'),
        ([Objective(), UPSIDE_DOWN], "got 2 objectives, expected one of val_accuracy"),
    ],
)
def test_objectives_are_not_metrics(metric, message):
    """The hint is the metric to set, and its direction if that is another one."""
    with pytest.raises(SpaceError, match=f"(?s)^metric: .*{message}"):
        space_of(metric=metric)
