"""search run chest_xray

Chest X-rays of two classes, from a tutorial upwards.

It reads `chest_xray/train` and `chest_xray/test`, each with a folder for COVID19 and one for NORMAL, here, or another
folder with `--data FOLDER`. The baseline is the tutorial as it stands: Conv2D 32 and 64 with 5x5 kernels and `same`
padding, max pooling and Dropout 0.2 after each, Dense 256, Dropout 0.2, one sigmoid; zoom and horizontal flip on the
training images; 20% of them for validation; Adam, batches of 32, 30 epochs, patience 20.
"""

from spaces import CNN, Augment, Choice, Constant, Cosine, Float, ImageFolder, Int, Space

space = Space(
    data=ImageFolder("chest_xray", image_size=200, validation=0.2),
    backbone=Choice(
        tutorial=CNN(filters=32, blocks=2, kernel_size=5, batch_norm=False, block_dropout=0.2, dense_units=256),
        deep=CNN(
            filters=Choice(16, 32),
            blocks=Int(3, 5, default=4),
            block_dropout=Float(0.0, 0.3, default=0.1),
            pooling=Choice("average", "flatten"),
        ),
    ),
    augment=Choice(
        tutorial=Augment(flip="horizontal", zoom=0.2),
        none=None,
        shift=Augment(flip="horizontal", zoom=0.1, translation=Float(0.0, 0.1, default=0.05)),
    ),
    dropout=Float(0.0, 0.6, default=0.2),
    learning_rate=Float(3e-4, 5e-3, log=True, default=1e-3),
    batch_size=Choice(32, 16, 64),
    schedule=Choice(Constant(), Cosine(warmup=0.05)),
    epochs=30,
    patience=20,
)
