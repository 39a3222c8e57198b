"""search run transfer

Frozen pretrained networks, new heads and fine-tuning.

It reads one folder of images for each class in `photos/` here, or in another folder with `--data FOLDER`. The
baseline is the tutorial unchanged: MobileNetV2 without its top, frozen, global average pooling, Dense 1024;
rotation by 20 degrees, shifts by 0.2 and horizontal flip; 224 pixels, Adam, batches of 32, 10 epochs. Fine-tuning,
where a trial takes it, adds 5 epochs at a hundredth to a twentieth of the learning rate.

Keras downloads the ImageNet weights once. To use a file instead (weights without the top, saved by `save_weights`),
copy this file and write `Pretrained("MobileNetV2", weights="FILE", dense_units=HEAD)`, with `alpha=` for a narrower
network; its path starts at the copy's folder. `weights=None` starts from random ones.
"""

from spaces import Augment, Choice, Constant, Cosine, FineTune, Float, ImageFolder, Pretrained, Space
from studies import Study

HEAD = Choice(1024, 0, 256)

space = Space(
    data=ImageFolder("photos", image_size=224),
    backbone=Choice(
        Pretrained("MobileNetV2", dense_units=HEAD),
        Pretrained("ResNet50", dense_units=HEAD),
        Pretrained("InceptionV3", dense_units=HEAD),
        Pretrained("EfficientNetV2B0", dense_units=HEAD),
    ),
    augment=Choice(
        tutorial=Augment(flip="horizontal", rotation=20 / 360, translation=0.2),
        none=None,
        flip=Augment(flip="horizontal"),
    ),
    dropout=Float(0.0, 0.6, default=0.0),
    learning_rate=Float(2e-4, 2e-3, log=True, default=1e-3),
    batch_size=Choice(32, 16),
    schedule=Choice(Constant(), cosine=Cosine(warmup=0.05), floored=Cosine(warmup=0.1, floor=0.05)),
    fine_tune=Choice(
        none=None,
        last=FineTune(layers=Choice(50, 25, 100), epochs=5, learning_rate=Float(0.01, 0.05, log=True)),
    ),
    epochs=10,
)

# The first epochs say little about schedules that end low, so fewer trials are pruned than by hyperband.
study = Study(trials=20, pruner="median")
