"""search run cifar10

CIFAR-10: the beginners' network and deeper ones.

The baseline is the tutorial unchanged: pixels divided by 255, Conv2D 32 with 3x3 kernels, no padding, max pooling,
Dense 64, Adam, batches of 128, 10 epochs. Keras downloads the images once; `--data FOLDER` reads them from a folder.
"""

from spaces import CNN, Adam, AdamW, Augment, Choice, Constant, Cosine, Float, Int, KerasDataset, Space
from studies import Study

space = Space(
    data=KerasDataset("cifar10"),
    backbone=Choice(
        tutorial=CNN(filters=32, blocks=1, padding="valid", batch_norm=False, dense_units=64),
        deep=CNN(filters=Choice(16, 32), blocks=Int(3, 4), block_dropout=Float(0.0, 0.2), pooling="average"),
        double=CNN(filters=Choice(16, 32), blocks=3, convolutions=2, block_dropout=Float(0.0, 0.2), pooling="average"),
    ),
    augment=Choice(none=None, flip=Augment(flip="horizontal", translation=Float(0.0, 0.1, default=0.05))),
    dropout=Float(0.0, 0.5, default=0.0),
    learning_rate=Float(5e-4, 5e-3, log=True, default=1e-3),
    batch_size=Choice(128, 64),
    optimizer=Choice(Adam(), AdamW(weight_decay=Float(1e-3, 1e-1, log=True))),
    schedule=Choice(Constant(), Cosine(warmup=0.05)),
    epochs=10,
)

# The first epochs say little about schedules that end low, so fewer trials are pruned than by hyperband.
study = Study(trials=20, pruner="median")
