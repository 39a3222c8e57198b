"""`Linear` heads: which fields they use, and which spaces are refused."""

import pytest

from spaces import (
    CNN,
    Augment,
    Choice,
    Cosine,
    Digits,
    FineTune,
    Float,
    Int,
    Linear,
    Pretrained,
    Space,
    SpaceError,
    baseline,
    flatten,
    resolve,
)
from spaces.heads import LINEAR_DEFAULTS
from spaces.records import with_fields

LINEAR = Pretrained("MobileNetV2", head=Linear())


def space(backbone=LINEAR, **fields):
    return Space(data=Digits(), backbone=backbone, **fields)


@pytest.mark.parametrize("backbone", [LINEAR, Choice(LINEAR, Pretrained("MobileNet", head=Choice(Linear())))])
def test_nothing_is_searched_that_a_solved_head_does_not_use(backbone):
    """If every head is linear, the fields of the optimizer and the augmentation are fixed."""
    made = space(backbone)
    assert {name: getattr(made, name) for name in LINEAR_DEFAULTS} == LINEAR_DEFAULTS
    assert {found.name for found in flatten(made)} <= {"backbone", "backbone.mobilenet.head"}


def test_other_heads_keep_the_searched_fields():
    """With an option that is trained, the defaults of a space stay."""
    made = space(Pretrained("MobileNetV2", head=Choice(None, Linear())))
    assert {"learning_rate", "dropout", "backbone.head"} <= {found.name for found in flatten(made)}


@pytest.mark.parametrize(
    ("backbone", "chosen"),
    [
        (Choice(CNN(filters=8, blocks=1), LINEAR), {"backbone": "mobilenetv2"}),
        (Pretrained("MobileNetV2", head=Choice(None, Linear())), {"backbone.head": "linear"}),
    ],
)
def test_recipe_of_a_mixed_space_has_only_what_its_head_uses(backbone, chosen):
    """The fields of the optimizer have their defaults, so that equal heads are equal recipes."""
    mixed = space(backbone, augment=Choice(shift=Augment(translation=0.1)), precision="mixed_bfloat16")
    recipe = resolve(mixed, baseline(mixed) | chosen | {"learning_rate": 2e-3, "dropout": 0.4})
    unused = {name: getattr(recipe, name) for name in LINEAR_DEFAULTS}
    assert (unused, recipe.precision) == (LINEAR_DEFAULTS, "float32")
    assert resolve(mixed, baseline(mixed) | {"dropout": 0.4}).dropout == 0.4


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("learning_rate", {"learning_rate": Float(1e-4, 1e-2, log=True)}),
        ("dropout", {"dropout": 0.5}),
        ("schedule", {"schedule": Cosine()}),
        ("batch_size", {"batch_size": Choice(16, 64)}),
        ("epochs", {"epochs": 20}),
        ("precision", {"precision": "mixed_bfloat16"}),
        ("fine_tune", {"fine_tune": FineTune()}),
        ("augment", {"augment": Augment(flip="horizontal")}),
        ("augment", {"augment": Choice(none=None, shift=Augment(translation=0.1))}),
    ],
)
def test_field_without_effect_is_refused(name, fields):
    """A field that only the optimizer uses is an error if every head is solved exactly."""
    with pytest.raises(SpaceError, match=f"^{name}: has no effect"):
        space(**fields)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("trainable_layers", {"trainable_layers": 3}),
        ("trainable_layers", {"trainable_layers": Int(0, 9)}),
        ("dense_units", {"dense_units": 64}),
        ("weights", {"weights": None}),
        ("weights", {"weights": Choice("imagenet", None)}),
    ],
)
def test_network_must_be_frozen_and_pretrained(name, options):
    """A head is solved on features that never change, also as one of several options."""
    for head in (Linear(), Choice(None, Linear())):
        with pytest.raises(SpaceError, match=f"^backbone.{name}: got"):
            space(Pretrained("MobileNetV2", head=head, **options))


def test_mirrored_images_are_the_only_views():
    """A head sees mirrored images or cached views, not both."""
    backbone = Pretrained("MobileNetV2", head=Linear(views=Choice(None, "mirror")))
    assert [found.name for found in flatten(space(backbone))] == ["backbone.head.views"]
    with pytest.raises(SpaceError, match=r"^augment: cached_views cannot be combined"):
        space(backbone, augment=Augment(rotation=0.1, cached_views=2))


def test_cached_views_and_balance_are_used():
    """Augmented views that are computed once, and weights of classes, have an effect."""
    views = Augment(flip="horizontal", cached_views=2)
    made = space(augment=Choice(views, None), balance=Choice(None, "class_weights"))
    assert {found.name for found in flatten(made)} == {"augment", "balance"}


def test_value_that_training_chose_is_set_by_its_dotted_name():
    """A recipe with a chosen value is the recipe that declares it."""
    recipe = resolve(space(), {})
    chosen = with_fields(recipe, {"backbone.head.strength": 30.0})
    assert chosen == resolve(space(Pretrained("MobileNetV2", head=Linear(strength=30.0))), {})
    assert with_fields(recipe, {}) == recipe
