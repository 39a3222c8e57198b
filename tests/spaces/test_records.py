"""The records of a space: what their fields hold, what they refuse, and in which words."""

import copy
import inspect
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from spaces import (
    CNN,
    SGD,
    Adam,
    Augment,
    Choice,
    Custom,
    CustomData,
    Digits,
    Float,
    ImageFolder,
    Int,
    KerasDataset,
    Npz,
    Pretrained,
    Space,
    SpaceError,
    baseline,
    resolve,
)


def build(recipe, input_shape, outputs):
    raise NotImplementedError


def splits():
    raise NotImplementedError


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epochs": 0}, "epochs: must be a whole number of at least 1 or None, got 0"),
        ({"epochs": True}, "epochs: must be a whole number of at least 1 or None, got True"),
        ({"epochs": 3.0}, "epochs: must be a whole number of at least 1 or None, got 3.0"),
        ({"metric": "accuracy"}, "metric: must be 'val_accuracy' or 'val_loss' or"),
        ({"metric": Choice("val_accuracy", "val_loss")}, "metric: must be fixed, since trials could not be compared"),
        ({"dropout": "0.2"}, "dropout: must be a number from 0 to 0.95, got '0.2'"),
        ({"dropout": float("nan")}, "dropout: must be a number from 0 to 0.95, got nan"),
        ({"learning_rate": 0}, "learning_rate: must be a number above 0, got 0.0"),
        ({"learning_rate": 10**400}, "learning_rate: must be a number above 0, got 1000"),
        ({"batch_size": None}, "batch_size: must be a whole number of at least 1, got None"),
        ({"augment": "flip"}, "augment: must be Augment(...) or None, got 'flip'"),
        (
            {"augment": Augment(flip=Float(0, 1))},
            "augment.flip: must be 'horizontal' or 'vertical' or 'both' or None, got",
        ),
        (
            {"optimizer": Adam},
            "optimizer: must be Adam(...) or AdamW(...) or SGD(...) or RMSprop(...), got the class Adam",
        ),
        ({"optimizer": "adam"}, "optimizer: must be Adam(...) or AdamW(...) or SGD(...) or RMSprop(...), got 'adam'"),
        (
            {"optimizer": Choice(Adam(), SGD(momentum=2))},
            "optimizer.sgd.momentum: must be a number from 0 to 0.9999, got 2",
        ),
        ({"backbone": CNN(filters=0)}, "backbone.filters: must be a whole number of at least 1, got 0"),
        ({"backbone": CNN(filters=[1])}, "backbone.filters: must be a whole number of at least 1, got [1]"),
        ({"backbone": CNN(batch_norm=1)}, "backbone.batch_norm: must be True or False, got 1"),
        ({"backbone": CNN(batch_norm=Int(0, 1))}, "backbone.batch_norm: must be True or False, got Int(0, 1"),
        ({"backbone": Choice(CNN(), CNN(filters=3))}, "backbone: option 'cnn' stands twice"),
        ({"backbone": Choice(a=CNN(), b=CNN())}, "backbone: options 'a' and 'b' are equal: remove one"),
        (
            {"backbone": Choice(a=CNN(), b=CNN(blocks=99))},
            "backbone.b.blocks: must be a whole number from 1 to 12, got 99",
        ),
        ({"backbone": Choice(None, CNN())}, "backbone: must be CNN(...) or Branches(...) or Pretrained(...), got None"),
        ({"backbone": Int(1, 2)}, "backbone: must be CNN(...) or Branches(...) or Pretrained(...), got Int(1, 2"),
        (
            {"backbone": np.zeros((9, 9, 9))},
            "backbone: must be CNN(...) or Branches(...) or Pretrained(...), got array([[[0., 0., 0.,",
        ),
        (
            {"backbone": Pretrained("MobileNetV9")},
            "backbone.name: 'MobileNetV9' is not known: did you mean MobileNetV2",
        ),
        ({"backbone": Pretrained("VGG16", weights="")}, "backbone.weights: must be a path or None, got ''"),
        ({"backbone": Pretrained("VGG16", weights=3)}, "backbone.weights: must be a path or None, got 3"),
        (
            {"backbone": CNN(), "model": Custom(build)},
            "model: stands in place of backbone, got both: remove one of them",
        ),
        ({"model": Choice(None, Custom(build))}, "model: must be Custom(...) or KerasTunerModel(...), got None"),
        ({"model": build}, "model: must be Custom(...) or KerasTunerModel(...), got <function build"),
        ({"model": Custom(3)}, "model.build: must be a function, got 3"),
        ({"model": Custom(build, units=[3])}, "model.units: must be a number, text, True, False or None, got [3]"),
        (
            {"model": Custom(build, units=Choice(a=CNN(), b=3))},
            "model.units: must be a number, text, True, False or None",
        ),
        ({"data": "photos"}, "data: must be Digits(...) or"),
        ({"data": ImageFolder("")}, "data.train: must be a path, got ''"),
        ({"data": ImageFolder("a\0b")}, "data.train: must be a path, got 'a\\x00b'"),
        (
            {"data": ImageFolder("a\udcff")},
            "data.train: must be valid UTF-8, got 'a\\udcff': rename the file or folder",
        ),
        (
            {"data": ImageFolder("a", classes=("b",))},
            "data.classes: must be at least two different names of sub-folders",
        ),
        ({"data": ImageFolder("a", classes=("b", "b"))}, "data.classes: must be at least two different names"),
        (
            {"data": ImageFolder("a", test=1.5)},
            "data.test: must be a folder, or a share above 0 up to 0.9 or None, got 1.5",
        ),
        ({"data": ImageFolder(Choice("a", "b"))}, "data.train: must be fixed, since trials could not be compared"),
        ({"data": Choice(Digits(), Npz("x.npz"))}, "data: must be fixed, since trials could not be compared"),
        (
            {"data": ImageFolder("a", validation=0)},
            "data.validation: must be a folder, or a share above 0 up to 0.9, got 0",
        ),
        (
            {"data": ImageFolder("a", image_size=2)},
            "data.image_size: must be a number of pixels, or (height, width), each",
        ),
        ({"data": ImageFolder("a", image_size=(32, 32, 3))}, "data.image_size: must be a number of pixels, or"),
        ({"data": ImageFolder("a", channels=Int(1, 3))}, "data.channels: must be 1 or 3, got 2"),
        ({"data": KerasDataset("imagenet")}, "data.name: must be 'cifar10' or"),
        ({"data": CustomData(3)}, "data.load: must be a function, got 3"),
        ({"data": CustomData(Digits)}, "data.load: must be a function, got <class"),
    ],
)
def test_a_wrong_field_is_told_with_its_dotted_name(fields, message):
    """The message opens with the field's dotted name and says the rule and what was received, on one line."""
    with pytest.raises(SpaceError, match="^" + re.escape(message)) as caught:
        Space(**{"data": Digits(), **fields})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "advice"),
    [
        ("photos", "write ImageFolder('photos')"),
        (Path("my/photos"), "write ImageFolder('my/photos')"),
        ("images.npz", "write Npz('images.npz')"),
        ("cifar10", "write KerasDataset('cifar10')"),
        ("digits", "write Digits()"),
        (Digits, "write Digits(...)"),
    ],
)
def test_a_path_or_name_for_the_data_is_answered_with_its_record(data, advice):
    """What most people write first is answered with what to write."""
    with pytest.raises(SpaceError, match=re.escape(advice) + "$"):
        Space(data=data)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CNN(filter=3), "CNN(filter=...): there is no such field: did you mean filters?"),
        (lambda: CNN(1, 2, 3), "CNN(...): takes filters, blocks by position, got 3 values: name the others"),
        (lambda: CNN(3, filters=3), "CNN(filters=...): is given twice: remove one"),
        (lambda: Adam(1e-3), "Adam(...): takes nothing by position, got 1 values: name the others"),
        (
            lambda: Adam(learning_rate=1e-3),
            "Adam(learning_rate=...): there is no such field: it is a field of Space itself",
        ),
        (lambda: Augment(shear=1), "Augment(shear=...): there is no such field: it has flip, rotation, zoom"),
        (lambda: Space(), "Space(...): needs data, as in Space(data=...)"),
        (lambda: Space(Digits(), CNN()), "Space(...): takes data by position, got 2 values: name the others"),
        (lambda: Custom(), "Custom(...): needs build"),
        (lambda: Custom(build, 3), "Custom(...): takes build by position, got 2 values"),
        (lambda: Custom(build, children=3), "Custom(children=...): a parameter cannot have this name"),
        (lambda: Custom(build, parameters=3), "Custom(parameters=...): a parameter cannot have this name"),
        (lambda: Custom(build, record=3), "Custom(record=...): a parameter cannot have this name"),
        (lambda: Custom(build, **{"a.b": 3}), "Custom(a.b=...): a parameter cannot have this name"),
    ],
)
def test_wrong_arguments_are_told_in_the_users_terms(make, message):
    """Unknown, missing, doubled and misplaced arguments name the record and what it takes."""
    with pytest.raises(SpaceError, match="^" + re.escape(message)):
        make()


def test_a_record_keeps_its_signature():
    """`help(CNN)` and editors show the fields."""
    assert list(inspect.signature(CNN).parameters)[:3] == ["filters", "blocks", "kernel_size"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Space(Digits(), dropout=0), Space(Digits(), dropout=0.0)),
        (Space(Digits(), dropout=-0.0), Space(Digits(), dropout=0.0)),
        (Space(Digits(), dropout=Choice(0, 0.5)), Space(Digits(), dropout=Choice(0.0, 0.5))),
        (Space(Digits(), dropout=Choice(0.5, 0, default=0)), Space(Digits(), dropout=Choice(0.5, 0.0, default=0.0))),
        (Space(ImageFolder(Path("a/b"))), Space(ImageFolder("./a/b/"))),
        (Space(ImageFolder("a", image_size=[32, 48])), Space(ImageFolder("a", image_size=(32, 48)))),
        (Space(ImageFolder("a", image_size=(32, 32))), Space(ImageFolder("a", image_size=32))),
        (
            Space(ImageFolder("a", image_size=Choice([32, 48], 64, default=[32, 48]))),
            Space(ImageFolder("a", image_size=Choice((32, 48), (64, 64)))),
        ),
        (
            Space(Digits(), backbone=Pretrained("VGG16", weights=Choice(Path("a.h5"), None))),
            Space(Digits(), backbone=Pretrained("VGG16", weights=Choice("a.h5", None))),
        ),
        (Space(splits), Space(CustomData(splits))),
    ],
)
def test_equal_meanings_have_one_form(one, other):
    """Fields have a normal form, also as options of a choice."""
    assert one == other
    assert repr(one) == repr(other)


@pytest.mark.parametrize("weights", [None, "imagenet", "weights/mine.h5", Path("weights/mine.h5")])
def test_pretrained_takes_weights_by_name_by_path_or_none(weights):
    """Weights are `imagenet`, a file, or None."""
    recipe = resolve(space := Space(Digits(), backbone=Pretrained("VGG16", weights=weights)), baseline(space))
    assert recipe.backbone.weights == (None if weights is None else str(weights))


def test_two_networks_of_one_kind_are_told_apart_by_their_names():
    """Pretrained networks and functions name their options themselves."""
    networks = Choice(Pretrained("VGG16"), Pretrained("ResNet50"), default=Pretrained("ResNet50"))
    assert Space(Digits(), backbone=networks).backbone.names == ("vgg16", "resnet50")
    assert networks.default == "resnet50"
    assert Choice(Custom(build), Custom(splits)).names == ("build", "splits")


def test_a_custom_network_reads_its_parameters_by_name():
    """`recipe.model.units` is the value of `units`."""
    space = Space(Digits(), model=Custom(build, units=Int(32, 256), activation=Choice("relu", "gelu", default="gelu")))
    model = resolve(space, baseline(space)).model
    assert (model.units, model.activation, model.rescale) == (144, "gelu", None)
    assert repr(model) == "Custom(build, units=144, activation='gelu')"
    assert pickle.loads(pickle.dumps(model)) == model == copy.deepcopy(model)
    with pytest.raises(AttributeError, match="has no parameter 'unit'"):
        _ = model.unit


def test_a_custom_network_may_have_parameters_named_like_json_keys():
    """Names that the canonical form uses elsewhere are free where they cannot be mistaken."""
    space = Space(Digits(), model=Custom(build, function=Int(1, 3), parameter=2, source=3))
    assert resolve(space, baseline(space)).model.function == 2
