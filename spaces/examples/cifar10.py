"""search run cifar10

CIFAR-10: the beginners' network and deeper ones.

The baseline is the tutorial as it stands: pixels divided by 255, Conv2D 32 with 3x3 kernels, no padding, max pooling,
Dense 64, Adam, batches of 128, 10 epochs. Keras downloads the images once; `--data FOLDER` reads them from a folder.
"""

from spaces import CNN, Adam, AdamW, Augment, Choice, Constant, Cosine, Float, Int, KerasDataset, Space

space = Space(
    data=KerasDataset("cifar10"),
    backbone=Choice(
        tutorial=CNN(filters=32, blocks=1, padding="valid", batch_norm=False, dense_units=64),
        deep=CNN(
            filters=Choice(32, 64),
            blocks=Int(2, 4, default=3),
            convolutions=Choice(1, 2),
            block_dropout=Float(0.0, 0.4, default=0.1),
            pooling=Choice("average", "flatten"),
        ),
    ),
    augment=Choice(none=None, flip=Augment(flip="horizontal", translation=Float(0.0, 0.15, default=0.1))),
    dropout=Float(0.0, 0.6, default=0.0),
    learning_rate=Float(1e-4, 1e-2, log=True, default=1e-3),
    batch_size=Choice(128, 64, 256),
    optimizer=Choice(Adam(), AdamW(weight_decay=Float(1e-4, 1e-1, log=True))),
    schedule=Choice(Constant(), Cosine(warmup=0.05)),
    epochs=10,
)
