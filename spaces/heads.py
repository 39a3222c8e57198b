"""The heads of a frozen `Pretrained` network other than dense layers that the optimizer trains."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

from spaces.argument_errors import checked_arguments
from spaces.parameters import Choice
from spaces.records import Record, float_field, text_field
from spaces.training import Constant

MIRROR = "mirror"


@checked_arguments
@dataclass(frozen=True, repr=False)
class Linear(Record):
    """Multinomial logistic regression on the features of a frozen network, solved exactly instead of trained.

    The solution depends on no seed, learning rate, batch size or number of epochs. `Space(balance=...)` weights the
    images; `Augment(cached_views=...)` adds its views to the training images, and any other augmentation has no effect
    on this head. If every network of a space has such a head, its trials are judged by 5-fold cross-validation over
    train plus validation, unless there is a validation folder or array, or there are more than 5,000 images.

    Args:
        strength: Strength of the L2 penalty, `1 / C` in scikit-learn: the sum of the images' cross entropies plus half
            the strength times the squared weights is minimised, on features divided by their standard deviation. None
            tries 3, 10, 30, 100 and 300 in each trial and keeps the best.
        views: `mirror` trains on the images and on their mirror images, and predicts from the mean of the features of
            both, also in the exported model; None does not.
    """

    _: KW_ONLY
    strength: float | None = float_field(None, 0.0, above=True, optional=True)
    views: str | None = text_field(None, MIRROR, optional=True)


HEADS = (Linear,)

LINEAR_DEFAULTS: dict[str, Any] = {
    "dropout": 0.0,
    "learning_rate": 1e-3,
    "schedule": Constant(),
    "augment": None,
    "batch_size": 32,
    "epochs": 1,
}
"""Defaults of fields of `Space` if every head is `Linear`: fixed values, so that nothing is searched without effect."""

WITHOUT_EFFECT = (*(LINEAR_DEFAULTS.keys() - {"augment"}), "optimizer", "precision", "fine_tune")
_NEEDED = {"trainable_layers": 0, "dense_units": 0}


def has_linear_head(backbone: Any) -> bool:
    """Return True if a backbone, or every option of it, has a `Linear` head whatever is chosen."""
    heads = (head for record in _options(backbone) for head in _options(getattr(record, "head", None)))
    return all(isinstance(head, Linear) for head in heads)


def apply_linear_defaults(space: Any) -> None:
    """If every head is `Linear`, set the fields that it does not use, unless the user has set them."""
    if has_linear_head(space.backbone):
        for name, value in LINEAR_DEFAULTS.items():
            if getattr(space, name) == space.__dataclass_fields__[name].default:
                object.__setattr__(space, name, value)


def without_unused(space: Any, values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields of a recipe of a space, with the defaults of those that its `Linear` head does not use.

    Only a space that has other heads as well can have other values there.
    """
    if has_linear_head(space.backbone) or not has_linear_head(values["backbone"]):
        return values
    unused = {name: LINEAR_DEFAULTS.get(name, space.__dataclass_fields__[name].default) for name in WITHOUT_EFFECT}
    augment = values["augment"]
    if augment is not None and augment.cached_views is None:
        unused["augment"] = None
    return {**values, **unused}


def conflict_with_head(space: Any) -> str | None:
    """Return the error of a space whose fields conflict with a `Linear` head, or None."""
    for record in _options(space.backbone):
        if any(isinstance(head, Linear) for head in _options(getattr(record, "head", None))):
            for name, needed in _NEEDED.items():
                if (value := getattr(record, name)) != needed:
                    return f"backbone.{name}: got {value!r}, but head=Linear(...) needs a frozen network"
            if any(weights is None for each in _options(record.weights) for weights in _several(each)):
                return "backbone.weights: got None, but head=Linear(...) needs pretrained weights"
            is_mirrored = any(getattr(head, "views", None) is not None for head in _options(record.head))
            if is_mirrored and any(getattr(each, "cached_views", None) for each in _options(space.augment)):
                return "augment: cached_views cannot be combined with head=Linear(views=...)\nhint: remove one of them"
    if has_linear_head(space.backbone):
        for name in WITHOUT_EFFECT:
            default = LINEAR_DEFAULTS.get(name, space.__dataclass_fields__[name].default)
            if getattr(space, name) != default:
                return f"{name}: has no effect with head=Linear(...), which is solved exactly\nhint: remove {name}"
        if any(augment is not None and augment.cached_views is None for augment in _options(space.augment)):
            return "augment: has no effect with head=Linear(...)\nhint: set cached_views, or remove augment"
    return None


def _several(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _options(value: Any) -> tuple[Any, ...]:
    return value.options if isinstance(value, Choice) else (value,)
