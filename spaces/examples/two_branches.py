"""search run two_branches

Kernels of 3x3 and 5x5 side by side, and other networks.

It reads one folder of images for each class in `photos/` here, or in another folder with `--data FOLDER`. The
baseline is the tutorial as it stands: Conv2D 32 3x3 and Conv2D 64 5x5, each with `same` padding and max pooling, put
together, flattened, Dense 128, Adam, batches of 32, 10 epochs.
"""

from spaces import CNN, Augment, Branch, Branches, Choice, Constant, Cosine, Float, ImageFolder, Int, Space

space = Space(
    data=ImageFolder("photos", image_size=64),
    backbone=Choice(
        tutorial=Branches(Branch(32, 3), Branch(64, 5), dense_units=128),
        branches=Branches(
            Branch(Int(16, 64, step=16, default=32), 3),
            Branch(Int(16, 64, step=16, default=32), 5),
            Branch(Int(16, 64, step=16, default=32), Choice(7, 9, 11)),
            pooling=Choice("max", "average", "flatten"),
            dense_units=Choice(128, 256),
        ),
        deep=CNN(
            filters=Choice(32, 16, 48),
            blocks=Int(3, 5, default=4),
            block_dropout=Float(0.0, 0.3, default=0.1),
            pooling=Choice("average", "flatten"),
        ),
    ),
    augment=Choice(
        none=None,
        shift=Augment(flip="horizontal", translation=Float(0.0, 0.15, default=0.1), zoom=Float(0.0, 0.2, default=0.1)),
    ),
    dropout=Float(0.0, 0.6, default=0.0),
    learning_rate=Float(3e-4, 5e-3, log=True, default=1e-3),
    batch_size=Choice(32, 16, 64),
    schedule=Choice(Constant(), Cosine(warmup=0.05)),
    epochs=10,
)
