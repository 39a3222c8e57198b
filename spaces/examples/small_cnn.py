"""search run small_cnn

Two convolutions at 64 pixels, and deeper networks.

It reads one folder of images for each class in `photos/` here, or in another folder with `--data FOLDER`. The
baseline is the tutorial unchanged: Conv2D 32 and 64 with 3x3 kernels, no padding, max pooling, Dense 64, Adam,
batches of 32, 10 epochs. Softmax with sparse cross entropy or logits with `from_logits=True` give the same result:
write `from_logits=False` for the former.
"""

from spaces import CNN, Augment, Choice, Constant, Cosine, Float, ImageFolder, Int, Space
from studies import Study

space = Space(
    data=ImageFolder("photos", image_size=64),
    backbone=Choice(
        tutorial=CNN(filters=32, blocks=2, padding="valid", batch_norm=False, dense_units=Choice(64, 128)),
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
