"""The training: augmentation, optimizers, learning-rate schedules, fine-tuning and metrics."""

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
"""The metrics that a study can optimize, with their directions.

Precision, recall, F1 and AUC (one class against the rest) are means over the classes, as scikit-learn's `macro`; with
two classes they are those of the second.
"""
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
BALANCES = ("class_weights", "sampling")


@checked_arguments
@dataclass(frozen=True, repr=False)
class Augment(Record):
    """Random changes of the training images, drawn again for every image and epoch.

    Args:
        flip: `horizontal`, `vertical`, `both`, or None.
        rotation: Maximum rotation either way, as a fraction of a full turn: 0.05 is 18 degrees.
        zoom: Maximum zoom in or out, as a fraction of the side.
        translation: Maximum shift either way, as a fraction of the side.
        contrast: Maximum change of contrast, as a fraction.
        brightness: Maximum change of brightness, as a fraction of the full range.
        cached_views: With a frozen backbone, the number of augmented views of each image whose features are computed
            once and reused; None augments every image in every epoch.
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
        beta_1: Decay rate of the mean of the gradients.
        beta_2: Decay rate of the mean of their squares.
        epsilon: Small number that prevents a division by zero.
        clipnorm: Maximum norm of one variable's gradient; None for no limit.
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
        weight_decay: Fraction by which each weight is reduced, per step and learning rate.
        beta_1: Decay rate of the mean of the gradients.
        beta_2: Decay rate of the mean of their squares.
        epsilon: Small number that prevents a division by zero.
        clipnorm: Maximum norm of one variable's gradient; None for no limit.
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
        momentum: Fraction of the last step that is added to the next.
        nesterov: Whether to use Nesterov's momentum.
        weight_decay: Fraction by which each weight is reduced, per step and learning rate.
        clipnorm: Maximum norm of one variable's gradient; None for no limit.
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
        rho: Decay rate of the mean of the squared gradients.
        momentum: Fraction of the last step that is added to the next.
        epsilon: Small number that prevents a division by zero.
        clipnorm: Maximum norm of one variable's gradient; None for no limit.
    """

    _: KW_ONLY
    rho: float = float_field(0.9, 0.0, 0.9999)
    momentum: float = float_field(0.0, 0.0, 0.9999)
    epsilon: float = float_field(1e-7, 0.0, above=True)
    clipnorm: float | None = float_field(None, 0.0, above=True, optional=True)


@checked_arguments
@dataclass(frozen=True, repr=False)
class Constant(Record):
    """A constant learning rate.

    Args:
        warmup: Fraction of all steps over which the learning rate first rises from 0.
    """

    _: KW_ONLY
    warmup: float = float_field(0.0, 0.0, 1.0)


@checked_arguments
@dataclass(frozen=True, repr=False)
class Cosine(Record):
    """The learning rate falls along half a cosine over all epochs (Loshchilov and Hutter, 2017).

    Args:
        warmup: Fraction of all steps over which the learning rate first rises from 0.
        floor: Final learning rate, as a fraction of the peak.
    """

    _: KW_ONLY
    warmup: float = float_field(0.0, 0.0, 1.0)
    floor: float = float_field(0.0, 0.0, 1.0)


@checked_arguments
@dataclass(frozen=True, repr=False)
class FineTune(Record):
    """A second phase of training, in which the last layers of a `Pretrained` backbone are trained as well.

    Args:
        layers: Number of last layers of the backbone that are trained. Batch normalisation keeps its statistics.
        epochs: Maximum number of epochs of this phase, in addition to those of the space.
        learning_rate: Learning rate of this phase, as a fraction of that of the space.
    """

    _: KW_ONLY
    layers: int = int_field(20, 1)
    epochs: int = int_field(10, 1)
    learning_rate: float = float_field(0.1, 0.0, 1.0, above=True)


OPTIMIZERS = (Adam, AdamW, SGD, RMSprop)
SCHEDULES = (Constant, Cosine)
