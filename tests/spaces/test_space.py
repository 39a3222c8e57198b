"""A space as a whole: its parameters, what fills them, and how it reads."""

import copy
import math
import pickle
from itertools import product

import pytest

import spaces
from spaces import CNN, Augment, Choice, Constant, Cosine, Digits, Float, ImageFolder, Int, Pretrained, SpaceError
from spaces.space import Space, baseline, combinations, fill, flatten, resolve

CONDITIONAL = Space(
    data=ImageFolder("photos", image_size=Choice(32, 64)),
    backbone=Choice(
        CNN(filters=Int(16, 64, step=16, default=32), kernel_size=Choice(3, 5)),
        Pretrained("MobileNetV2", trainable_layers=Choice(0, 20)),
    ),
    augment=None,
    dropout=0.2,
    learning_rate=1e-3,
    batch_size=32,
)
CNN_PARAMETERS = {"backbone.cnn.filters": 32, "backbone.cnn.kernel_size": 3}
DEFAULTS = {"data.image_size": 32, "backbone": "cnn", **CNN_PARAMETERS, "schedule": "constant"}


def test_parameters_have_dotted_names_in_a_stable_order_and_conditions():
    """A choice comes before what depends on it, and each parameter says when it exists."""
    assert [(each.name, each.conditions) for each in flatten(CONDITIONAL)] == [
        *(("data.image_size", ()), ("backbone", ())),
        *((name, (("backbone", "cnn"),)) for name in CNN_PARAMETERS),
        *(("backbone.mobilenetv2.trainable_layers", (("backbone", "mobilenetv2"),)), ("schedule", ())),
    ]


def test_recipe_has_the_chosen_values():
    """Parameters of other options do not exist, and are not asked for."""
    recipe = fill(CONDITIONAL, lambda name, parameter: parameter.names[-1])
    chosen = Pretrained("MobileNetV2", trainable_layers=20), 64, Cosine(warmup=0.05)
    assert (recipe.backbone, recipe.data.image_size, recipe.schedule) == chosen


def test_a_choice_within_a_choice_has_both_conditions():
    """Conditions accumulate along the path to a parameter."""
    inner = Choice(none=None, noise=Augment(zoom=Float(0.0, 0.3)))
    space = Space(Digits(), augment=Choice(a=Augment(flip=Choice(None, "both")), b=Augment(zoom=0.1)))
    assert [h.conditions for h in flatten(space) if h.name == "augment.a.flip"] == [(("augment", "a"),)]
    assert flatten(Space(Digits(), augment=inner))[5].conditions == (("augment", "noise"),)


def test_every_combination_is_counted():
    """`combinations` is the number of different recipes, infinite for real numbers without steps."""
    assert combinations(CONDITIONAL) == 2 * (4 * 2 + 2) * 2
    assert combinations(Space(Digits())) == math.inf
    fixed = {"augment": None, "learning_rate": 0.1, "schedule": Constant(), "backbone": CNN()}
    space = Space(Digits(), dropout=Float(0, 0.5, step=0.1), batch_size=Choice(8, 16, 32), **fixed)
    names = [each.name for each in flatten(space)]
    points = product(*(each.parameter.values() for each in flatten(space)))
    assert len({resolve(space, dict(zip(names, point, strict=True))) for point in points}) == combinations(space) == 18


def test_the_baseline_is_every_default():
    """Trial 0 takes each parameter's default, and only those that exist."""
    assert baseline(CONDITIONAL) == DEFAULTS


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        (DEFAULTS | {"backbone.cnn.filters": 33}, "backbone.cnn.filters: got 33, expected a value of Int"),
        (DEFAULTS | {"backbone.cnn.filters": 32.0}, "backbone.cnn.filters: got 32.0"),
        (DEFAULTS | {"backbone": "vgg16"}, "backbone: got 'vgg16'"),
        (DEFAULTS | {"backbone.mobilenetv2.trainable_layers": 0}, "backbone.mobilenetv2.*: not a parameter"),
        ({}, "data.image_size: missing in the assignment"),
    ],
)
def test_wrong_assignments_are_errors(assignment, message):
    """Resolving needs every parameter that exists, and refuses others and values that a parameter cannot take."""
    with pytest.raises(SpaceError, match=f"^{message}"):
        resolve(CONDITIONAL, assignment)


def test_the_repr_is_the_space_file():
    """A space reads as it was written, one field a line, and None where None means something."""
    space = Space(Digits(), augment=None, patience=None)
    assert repr(space).splitlines()[:4] == [
        "Space(",
        "    data=Digits(),",
        "    backbone=CNN(filters=Int(16, 48, step=16, default=16), blocks=Int(2, 4, default=3), "
        "pooling=Choice('flatten', 'average'), dense_units=Choice(0, 128)),",
        "    augment=None,",
    ]
    assert "    patience=None,\n" in repr(space)
    assert "model" not in repr(space)
    assert eval(repr(space), vars(spaces)) == space


def test_a_space_is_a_value():
    """Pickled, copied and hashed it stays equal, and it cannot be changed."""
    for twin in (copy.deepcopy(CONDITIONAL), copy.copy(CONDITIONAL), pickle.loads(pickle.dumps(CONDITIONAL))):
        assert (twin, hash(twin)) == (CONDITIONAL, hash(CONDITIONAL))
    with pytest.raises(AttributeError):
        CONDITIONAL.epochs = 3


def test_earlier_names_stay_importable():
    """A program of an earlier release finds `Hole`."""
    assert spaces.Hole is spaces.SpaceParameter
