"""The table of parameters that `search show` prints."""

from spaces import CNN, Choice, Constant, Digits, Float, Int, Pretrained, Space
from spaces.table import Row, rows


def test_parameters_are_told_in_words():
    """Ranges, scales, steps and options read as a person would say them."""
    space = Space(
        Digits(),
        backbone=Choice(
            CNN(
                filters=Int(16, 64, step=16, default=32),
                blocks=Int(2, 4),
                kernel_size=Choice(3, 5),
                dense_units=Int(7, 7),
            ),
            Pretrained("MobileNetV2", weights=Choice("imagenet", None)),
        ),
        augment=None,
        dropout=Float(0.0, 0.5, step=0.1, default=0.2),
        learning_rate=Float(1e-4, 1e-2, log=True, default=1e-3),
        batch_size=Int(8, 512, log=True, default=64),
        schedule=Constant(),
    )
    assert rows(space) == [
        Row("backbone", "cnn, mobilenetv2", "cnn", ""),
        Row("backbone.cnn.filters", "16 to 64 in steps of 16", "32", "backbone = cnn"),
        Row("backbone.cnn.blocks", "2 to 4", "3", "backbone = cnn"),
        Row("backbone.cnn.kernel_size", "3, 5", "3", "backbone = cnn"),
        Row("backbone.cnn.dense_units", "7", "7", "backbone = cnn"),
        Row("backbone.mobilenetv2.weights", "imagenet, None", "imagenet", "backbone = mobilenetv2"),
        Row("dropout", "0 to 0.5 in steps of 0.1", "0.2", ""),
        Row("learning_rate", "0.0001 to 0.01, log", "0.001", ""),
        Row("batch_size", "8 to 512, log", "64", ""),
    ]


def test_a_space_without_parameters_has_no_rows():
    """A fixed recipe has nothing to tell."""
    fixed = {"augment": None, "dropout": 0.1, "learning_rate": 0.1, "batch_size": 8, "schedule": Constant()}
    assert rows(Space(Digits(), backbone=CNN(), **fixed)) == []
