"""search run chest_xray

Chest X-rays of two classes, from a tutorial upwards.

It reads `chest_xray/train` and `chest_xray/test`, each with a folder for COVID19 and one for NORMAL, here, or another
folder with `--data FOLDER`. The baseline is the tutorial unchanged: Conv2D 32 and 64 with 5x5 kernels and `same`
padding, max pooling and Dropout 0.2 after each, Dense 256, Dropout 0.2, one sigmoid; zoom and horizontal flip on the
training images; 20% of them for validation; Adam, batches of 32, 30 epochs, patience 20.
"""

from spaces import CNN, Augment, Choice, Constant, Cosine, Float, ImageFolder, Int, Space
from studies import Study

space = Space(
    data=ImageFolder("chest_xray", image_size=200, validation=0.2),
    backbone=Choice(
        tutorial=CNN(filters=32, blocks=2, kernel_size=5, batch_norm=False, block_dropout=0.2, dense_units=256),
        deep=CNN(
            filters=Choice(16, 32),
            blocks=Int(3, 5, default=4),
            block_dropout=Float(0.0, 0.2),
            pooling=Choice("average", "flatten"),
        ),
    ),
    augment=Choice(
        tutorial=Augment(flip="horizontal", zoom=0.2),
        none=None,
        flip=Augment(flip="horizontal"),
    ),
    dropout=Float(0.0, 0.3, default=0.2),
    learning_rate=Float(5e-4, 2e-3, log=True, default=1e-3),
    batch_size=Choice(32, 16),
    schedule=Choice(Constant(), Cosine(warmup=0.05)),
    epochs=30,
    patience=20,
)

# The first epochs say little about schedules that end low, so fewer trials are pruned than by hyperband.
study = Study(trials=20, pruner="median")
