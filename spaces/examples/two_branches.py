"""search run two_branches

Kernels of 3x3 and 5x5 side by side, and other networks.

It reads one folder of images for each class in `photos/` here, or in another folder with `--data FOLDER`. The
baseline is the tutorial unchanged: Conv2D 32 3x3 and Conv2D 64 5x5, each with `same` padding and max pooling,
concatenated, flattened, Dense 128, Adam, batches of 32, 10 epochs.
"""

from spaces import CNN, Augment, Branch, Branches, Choice, Constant, Cosine, Float, ImageFolder, Int, Space
from studies import Study

space = Space(
    data=ImageFolder("photos", image_size=64),
    backbone=Choice(
        tutorial=Branches(Branch(32, 3), Branch(64, 5), dense_units=128),
        branches=Branches(
            Branch(Int(16, 48, step=16, default=32), 3),
            Branch(Int(16, 48, step=16, default=32), 5),
            Branch(Choice(16, 32), Choice(7, 9)),
            pooling=Choice("max", "average", "flatten"),
            dense_units=128,
        ),
        deep=CNN(filters=Choice(16, 24, 32), blocks=Int(3, 4, default=4), pooling="average"),
        double=CNN(filters=Choice(8, 16), blocks=Int(3, 4, default=4), convolutions=2, pooling="average"),
    ),
    # Ten epochs are too few for much noise.
    augment=Choice(none=None, flip=Augment(flip="horizontal")),
    dropout=Float(0.0, 0.3, default=0.0),
    learning_rate=Float(5e-4, 2e-3, log=True, default=1e-3),
    batch_size=Choice(32, 16),
    schedule=Choice(Constant(), cosine=Cosine(warmup=0.05), floored=Cosine(warmup=0.1, floor=0.05)),
    epochs=10,
)

# The first epochs say little about schedules that end low, so fewer trials are pruned than by hyperband.
study = Study(trials=20, pruner="median")
