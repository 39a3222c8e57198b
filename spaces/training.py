"""How a model is trained: augmentation, optimizers, learning-rate schedules and the metrics to judge by."""

from dataclasses import KW_ONLY, dataclass

from spaces.argument_errors import checked_arguments
from spaces.records import Record, bool_field, float_field, int_field, text_field

METRICS = {
    "val_accuracy": "maximize",
    "val_loss": "minimize",
    "val_auc": "maximize",
    "val_precision": "maximize",
    "val_recall": "maximize",
    "val_f1": "maximize",
    "val_top_5_accuracy": "maximize",
}
"""The metrics that a search can aim at, and which way is better.

Precision, recall, F1 and AUC (one class against the rest) are means over the classes, as scikit-learn's `macro`; with
two classes they are those of the second.
"""
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
BALANCES = ("class_weights", "sampling")


@checked_arguments
@dataclass(frozen=True, repr=False)
class Augment(Record):
    """Random changes of the training images, each drawn anew for every image and epoch.

    Args:
        flip: `horizontal`, `vertical`, `both`, or None.
        rotation: Largest rotation either way, as a share of a full turn: 0.05 is 18 degrees.
        zoom: Largest zoom in or out, as a share of the side.
        translation: Largest shift either way, as a share of the side.
        contrast: Largest change of contrast, as a share.
        brightness: Largest change of brightness, as a share of the full range.
        cached_views: With a frozen backbone, compute the features of so many changed views of each image once,
            and train on those; None changes every image anew in every epoch.
    """

    _: KW_ONLY
    flip: str | None = text_field(None, "horizontal", "vertical", "both", optional=True)
    rotation: float = float_field(0.0, 0.0, 0.5)
    zoom: float = float_field(0.0, 0.0, 0.9)
    translation: float = float_field(0.0, 0.0, 0.9)
    contrast: float = float_field(0.0, 0.0, 1.0)
    brightness: float = float_field(0.0, 0.0, 1.0)
    cached_views: int | None = int_field(None, 1, 1000, optional=True)


@checked_arguments
@dataclass(frozen=True, repr=False)
class Adam(Record):
    """Adam (Kingma and Ba, 2015).

    Args:
        beta_1: Decay of the mean of the gradients.
        beta_2: Decay of the mean of their squares.
        epsilon: Keeps the division finite.
        clipnorm: Largest norm of one variable's gradient; None for no limit.
    """

    _: KW_ONLY
    beta_1: float = float_field(0.9, 0.0, 0.9999)
    beta_2: float = float_field(0.999, 0.0, 0.999999)
    epsilon: float = float_field(1e-7, 0.0, above=True)
    clipnorm: float | None = float_field(None, 0.0, above=True, optional=True)


@checked_arguments
@dataclass(frozen=True, repr=False)
class AdamW(Record):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019).

    Args:
        weight_decay: Share of each weight that is taken off, per step and learning rate.
        beta_1: Decay of the mean of the gradients.
        beta_2: Decay of the mean of their squares.
        epsilon: Keeps the division finite.
        clipnorm: Largest norm of one variable's gradient; None for no limit.
    """

    _: KW_ONLY
    weight_decay: float = float_field(0.004)
    beta_1: float = float_field(0.9, 0.0, 0.9999)
    beta_2: float = float_field(0.999, 0.0, 0.999999)
    epsilon: float = float_field(1e-7, 0.0, above=True)
    clipnorm: float | None = float_field(None, 0.0, above=True, optional=True)


@checked_arguments
@dataclass(frozen=True, repr=False)
class SGD(Record):
    """Stochastic gradient descent.

    Args:
        momentum: Share of the last step that is added to the next.
        nesterov: Nesterov's momentum.
        weight_decay: Share of each weight that is taken off, per step and learning rate.
        clipnorm: Largest norm of one variable's gradient; None for no limit.
    """

    _: KW_ONLY
    momentum: float = float_field(0.9, 0.0, 0.9999)
    nesterov: bool = bool_field(False)
    weight_decay: float = float_field(0.0)
    clipnorm: float | None = float_field(None, 0.0, above=True, optional=True)


@checked_arguments
@dataclass(frozen=True, repr=False)
class RMSprop(Record):
    """RMSprop (Tieleman and Hinton, 2012).

    Args:
        rho: Decay of the mean of the squared gradients.
        momentum: Share of the last step that is added to the next.
        epsilon: Keeps the division finite.
        clipnorm: Largest norm of one variable's gradient; None for no limit.
    """

    _: KW_ONLY
    rho: float = float_field(0.9, 0.0, 0.9999)
    momentum: float = float_field(0.0, 0.0, 0.9999)
    epsilon: float = float_field(1e-7, 0.0, above=True)
    clipnorm: float | None = float_field(None, 0.0, above=True, optional=True)


@checked_arguments
@dataclass(frozen=True, repr=False)
class Constant(Record):
    """One learning rate throughout.

    Args:
        warmup: Share of all steps over which it first grows from 0.
    """

    _: KW_ONLY
    warmup: float = float_field(0.0, 0.0, 1.0)


@checked_arguments
@dataclass(frozen=True, repr=False)
class Cosine(Record):
    """The learning rate falls along half a cosine over all epochs (Loshchilov and Hutter, 2017).

    Args:
        warmup: Share of all steps over which it first grows from 0.
        floor: Where it ends, as a share of the learning rate.
    """

    _: KW_ONLY
    warmup: float = float_field(0.0, 0.0, 1.0)
    floor: float = float_field(0.0, 0.0, 1.0)


@checked_arguments
@dataclass(frozen=True, repr=False)
class FineTune(Record):
    """A second phase of training, in which the last layers of a `Pretrained` backbone are trained as well.

    Args:
        layers: How many of the backbone's last layers are trained. Batch normalisation keeps its statistics.
        epochs: Most epochs of this phase, after those of the space.
        learning_rate: Learning rate of this phase, as a share of the space's.
    """

    _: KW_ONLY
    layers: int = int_field(20, 1)
    epochs: int = int_field(10, 1)
    learning_rate: float = float_field(0.1, 0.0, 1.0, above=True)


OPTIMIZERS = (Adam, AdamW, SGD, RMSprop)
SCHEDULES = (Constant, Cosine)
