"""search run digits

Handwritten digits: no download, about a minute.

Scikit-learn's 1,797 images of 8x8 pixels and a small convolutional network; a minute on two CPU cores.
"""

from spaces import CNN, Augment, Choice, Digits, Float, Int, Space
from studies import Study

space = Space(
    data=Digits(),
    backbone=CNN(
        filters=Choice(16, 32),
        blocks=Int(1, 2, default=2),
        dense_units=Choice(0, 64),
    ),
    augment=Choice(none=None, shift=Augment(translation=Float(0.02, 0.12, default=0.05))),
    dropout=Float(0.0, 0.6, default=0.2),
    learning_rate=Float(5e-4, 2e-2, log=True, default=1e-3),
    batch_size=Choice(32, 64, 128, default=64),
    epochs=15,
    patience=5,
)

study = Study(trials=20)
