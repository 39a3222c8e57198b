"""Spaces as the text of a space file, and spaces that leave the network open."""

import pytest

from spaces import CNN, SGD, Augment, Choice, Digits, Float, ImageFolder, Linear, Pretrained, Space, fingerprint
from spaces.loading import load
from spaces.open_space import is_open
from spaces.space_file import space_file

PHOTOS = ImageFolder("photos")


@pytest.mark.parametrize(
    "space",
    [
        Space(data=PHOTOS),
        Space(data=ImageFolder("photos", image_size=Choice(160, 224)), metric="val_auc", folds=3, dropout=0.5),
        Space(data=PHOTOS, backbone=Pretrained("MobileNetV2", head=Linear(views=Choice(None, "mirror")))),
        Space(
            data=PHOTOS,
            backbone=Choice(
                one=Pretrained("MobileNetV2", alpha=0.35, head=Linear()),
                both=Pretrained(["MobileNetV2", "MobileNet"], alpha=[0.35, None], head=Linear(strength=10.0)),
            ),
        ),
        Space(data=ImageFolder("Photos(2024)/A('b')")),
        Space(data=PHOTOS, optimizer=SGD(momentum=Float(0.5, 0.9)), augment=Augment(flip="both")),
    ],
)
def test_file_defines_the_same_space(space, tmp_path):
    """Loading the file gives the space, its settings and its docstring back."""
    file = tmp_path / "photos.py"
    file.write_text(space_file(space, {"sampler": "stepwise", "trials": 7}, ('search run "photos"', r"a \n path")))
    loaded = load(str(file))
    assert fingerprint(loaded.space) == fingerprint(space)
    assert (loaded.study.sampler, loaded.study.trials) == ("stepwise", 7)


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (Space(data=PHOTOS), True),
        (Space(data=ImageFolder("photos", image_size=64, validation=0.3), metric="val_f1"), True),
        (Space(data=PHOTOS, balance="class_weights"), True),
        (Space(data=Digits()), False),
        (Space(data=PHOTOS, backbone=CNN(filters=8)), False),
        (Space(data=PHOTOS, learning_rate=0.01), False),
        (Space(data=PHOTOS, augment=None), False),
        (Space(data=PHOTOS, epochs=3), False),
        (Space(data=PHOTOS, folds=3), False),
    ],
)
def test_space_is_open_while_only_the_images_are_declared(space, expected):
    """A field that says how a network is trained asks for such a network."""
    assert is_open(space) == expected
