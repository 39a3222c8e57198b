"""The records of a space: the values of their fields, and the errors for wrong ones."""

import copy
import inspect
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from spaces import Choice, Float, Int, Space, SpaceError, baseline, fingerprint, resolve
from spaces.backbones import CNN, Branch, Branches, Custom, Pretrained
from spaces.data import CustomData, Digits, ImageFolder, KerasDataset, Npz
from spaces.training import SGD, Adam, Augment


def build(recipe, input_shape, outputs):
    raise NotImplementedError


def splits():
    raise NotImplementedError


OPTIMIZERS = "Adam(...) or AdamW(...) or SGD(...) or RMSprop(...)"
FRACTION = "a folder, or a fraction above 0 and at most 0.9"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("epochs", 0, "epochs: got 0, expected an integer of at least 1 or None"),
        ("epochs", True, "epochs: got True, expected an integer"),
        ("epochs", 3.0, "epochs: got 3.0, expected an integer"),
        ("epochs", Choice(3, None), "epochs: got the option None (automatic)"),
        ("batch_size", None, "batch_size: got None, expected an integer of at least 1"),
        ("dropout", "0.2", "dropout: got '0.2', expected a number from 0 to 0.95"),
        ("dropout", float("nan"), "dropout: got nan, expected a number"),
        ("learning_rate", 0, "learning_rate: got 0.0, expected a number above 0"),
        ("learning_rate", 10**400, "learning_rate: got 1000"),
        ("metric", "accuracy", "metric: got 'accuracy', expected 'val_accuracy' or 'val_loss' or"),
        ("metric", Choice("val_accuracy", "val_loss"), "metric: got Choice('val_accuracy', 'val_loss')"),
        ("augment", "flip", "augment: got 'flip', expected Augment(...) or None"),
        ("augment", Augment(flip=Float(0, 1)), "augment.flip: got Float(0.0, 1.0, default=0.5), expected"),
        ("optimizer", "adam", f"optimizer: got 'adam', expected {OPTIMIZERS}"),
        ("optimizer", Adam, f"optimizer: got the class Adam, expected {OPTIMIZERS}\nhint: write Adam(...)"),
        ("optimizer", Choice(Adam(), SGD(momentum=2)), "optimizer.sgd.momentum: got 2.0, expected"),
        ("backbone", CNN(filters=[1]), "backbone.filters: got [1], expected an integer of at least 1"),
        ("backbone", CNN(batch_norm=1), "backbone.batch_norm: got 1, expected True or False"),
        ("backbone", CNN(batch_norm=Int(0, 1)), "backbone.batch_norm: got Int(0, 1, default=0), expected"),
        ("backbone", Choice(a=CNN(), b=CNN(blocks=99)), "backbone.b.blocks: got 99, expected an integer from 1 to 12"),
        ("backbone", Choice(None, CNN()), "backbone: got None, expected CNN(...) or Branches(...) or Pretrained(...)"),
        ("backbone", Int(1, 2), "backbone: got Int(1, 2, default=1), expected CNN(...) or"),
        ("backbone", np.zeros((9, 9, 9)), "backbone: got array([[[0., 0., 0.,"),
        ("backbone", Pretrained("MobileNetV9"), "backbone.name: got 'MobileNetV9', which is not known"),
        ("backbone", Pretrained("VGG16", weights=""), "backbone.weights: got '', expected a path or None"),
        ("backbone", Pretrained("VGG16", weights=3), "backbone.weights: got 3, expected a path"),
        ("model", Choice(None, Custom(build)), "model: got None, expected Custom(...) or KerasTunerModel(...)"),
        ("model", build, "model: got <function build"),
        ("model", Custom(3), "model.build: got 3, expected a function"),
        ("model", Custom(build, units=[3]), "model.units: got [3], expected a number, text, True, False or None"),
        ("model", Custom(build, units=Choice(a=CNN(), b=3)), "model.units: got CNN(), expected a number, text"),
        ("data", Choice(Digits(), Npz("x.npz")), "data: got Choice("),
        ("data", ImageFolder(""), "data.train: got '', expected a path"),
        ("data", ImageFolder("a\0b"), "data.train: got 'a\\x00b', expected a path"),
        ("data", ImageFolder("a\udcff"), "data.train: got 'a\\udcff', expected valid UTF-8\nhint: rename"),
        ("data", ImageFolder(Choice("a", "b")), "data.train: got Choice('a', 'b'), expected a fixed value"),
        ("data", ImageFolder("a", classes=("b",)), "data.classes: got ('b',), expected at least two different names"),
        ("data", ImageFolder("a", classes=("b", "b")), "data.classes: got ('b', 'b'), expected at least two different"),
        ("data", ImageFolder("a", test=1.5), f"data.test: got 1.5, expected {FRACTION} or None"),
        ("data", ImageFolder("a", validation=0), f"data.validation: got 0.0, expected {FRACTION}"),
        ("data", ImageFolder("a", image_size=2), "data.image_size: got 2, expected an integer or (height, width)"),
        ("data", ImageFolder("a", image_size=(32, 32, 3)), "data.image_size: got (32, 32, 3), expected an integer or"),
        ("data", ImageFolder("a", channels=Int(1, 3)), "data.channels: got 2, expected 1 or 3"),
        ("data", KerasDataset("imagenet"), "data.name: got 'imagenet', expected 'cifar10' or"),
        ("data", CustomData(Digits), "data.load: got <class"),
    ],
)
def test_errors_name_field_value_and_rule(field, value, message):
    """The message starts with the field's dotted name and the value received."""
    with pytest.raises(SpaceError, match="^" + re.escape(message)):
        Space(**{"data": Digits(), field: value})


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        ("photos", "write ImageFolder('photos')"),
        (Path("my/photos"), "write ImageFolder('my/photos')"),
        ("images.npz", "write Npz('images.npz')"),
        ("cifar10", "write KerasDataset('cifar10')"),
        ("digits", "write Digits()"),
        (Digits, "write Digits(...)"),
    ],
)
def test_hint_names_the_record_for_a_path_or_name(data, hint):
    """Paths and names are what most people try first."""
    with pytest.raises(SpaceError, match=f"\nhint: {re.escape(hint)}$"):
        Space(data=data)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CNN(filter=3), "CNN(filter=...): no such field\nhint: did you mean filters?"),
        (lambda: CNN(1, 2, 3), "CNN(...): got 1, 2, 3 by position, expected filters, blocks\nhint: pass"),
        (lambda: CNN(3, filters=3), "CNN(filters=...): given twice"),
        (lambda: Adam(1e-3), "Adam(...): got 0.001 by position, expected nothing"),
        (lambda: Adam(learning_rate=1e-3), "Adam(learning_rate=...): no such field\nhint: set it on the space"),
        (lambda: Augment(shear=1), "Augment(shear=...): no such field\nhint: the fields are flip, rotation, zoom"),
        (lambda: Space(), "Space(...): missing data\nhint: write Space(data=...)"),
        (lambda: Int(3), "Int(...): missing high"),
        (lambda: Float(0, 1, steps=0.1), "Float(steps=...): no such field\nhint: did you mean step?"),
        (lambda: Branches(Branch()), "Branches(...): got 1 Branch(...) records, expected at least two"),
        (lambda: Branches(Branch(), branch=Branch()), "Branches(branch=...): no such field"),
        (lambda: Space(Digits(), backbone=CNN(), model=Custom(build)), "model: got a backbone as well"),
        (lambda: Custom(), "Custom(...): missing build"),
        (lambda: Custom(build, 3), "Custom(...): got <function build"),
        *(
            (lambda name=name: Custom(build, **{name: 3}), f"Custom({name}=...): a parameter cannot have")
            for name in ("children", "parameters", "record", "a.b")
        ),
    ],
)
def test_argument_errors_name_record_and_fields(make, message):
    """Unknown, missing, repeated and misplaced arguments are reported in the user's terms; editors show the fields."""
    with pytest.raises(SpaceError, match="^" + re.escape(message)):
        make()
    assert list(inspect.signature(CNN).parameters)[:3] == ["filters", "blocks", "kernel_size"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Space(Digits(), dropout=0), Space(Digits(), dropout=0.0)),
        (Space(Digits(), dropout=Choice(0.5, 0, default=0)), Space(Digits(), dropout=Choice(0.5, 0.0, default=0.0))),
        (Space(ImageFolder(Path("a/b"))), Space(ImageFolder("./a/b/"))),
        *(
            (Space(ImageFolder("a", image_size=one)), Space(ImageFolder("a", image_size=other)))
            for one, other in [
                (48, [48, 48]),
                ([32, 48], (32, 48)),
                (Choice([32, 48], 64, default=[32, 48]), Choice((32, 48), (64, 64))),
            ]
        ),
        (
            Space(Digits(), backbone=Pretrained("VGG16", weights=Choice(Path("a.h5"), None))),
            Space(Digits(), backbone=Pretrained("VGG16", weights=Choice("a.h5", None))),
        ),
        (Space(splits), Space(CustomData(splits))),
    ],
)
def test_equal_meanings_have_one_normal_form(one, other):
    """Fields are normalised, also as options of a choice."""
    assert one == other
    assert (repr(one), fingerprint(one)) == (repr(other), fingerprint(other))


def test_networks_of_one_kind_name_their_options():
    """Pretrained networks and functions are options under their own names."""
    networks = Choice(Pretrained("VGG16"), Pretrained("ResNet50"), default=Pretrained("ResNet50"))
    assert Space(Digits(), backbone=networks).backbone.names == ("vgg16", "resnet50")
    assert networks.default == "resnet50"
    assert Choice(Custom(build), Custom(splits)).names == ("build", "splits")


def test_custom_parameters_are_attributes():
    """`recipe.model.units` is the value of `units`; names that the canonical form uses elsewhere are free."""
    space = Space(Digits(), model=Custom(build, units=Int(32, 256), function=Choice("relu", "gelu", default="gelu")))
    model = resolve(space, baseline(space)).model
    assert (model.units, model.function, model.rescale) == (144, "gelu", None)
    assert repr(model) == "Custom(build, units=144, function='gelu')"
    assert pickle.loads(pickle.dumps(model)) == model == copy.deepcopy(model)
    with pytest.raises(AttributeError, match="has no parameter 'unit'"):
        _ = model.unit
