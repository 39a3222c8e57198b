"""search run small_cnn

Two convolutions at 64 pixels, and deeper networks.

It reads one folder of images for each class in `photos/` here, or in another folder with `--data FOLDER`. The
baseline is the tutorial as it stands: Conv2D 32 and 64 with 3x3 kernels, no padding, max pooling, Dense 64, Adam,
batches of 32, 10 epochs. Softmax with sparse cross entropy or logits with `from_logits=True` give the same result:
write `from_logits=False` for the former.
"""

from spaces import CNN, Augment, Choice, Constant, Cosine, Float, ImageFolder, Int, Space

space = Space(
    data=ImageFolder("photos", image_size=64),
    backbone=Choice(
        tutorial=CNN(filters=32, blocks=2, padding="valid", batch_norm=False, dense_units=Choice(64, 128)),
        deep=CNN(
            filters=Choice(32, 16, 48),
            blocks=Int(3, 5, default=4),
            convolutions=Choice(1, 2),
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
