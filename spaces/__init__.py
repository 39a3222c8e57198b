"""Spaces: what may vary in the training of an image classifier, in pure Python."""

from typing import TYPE_CHECKING, Any

from spaces.backbones import CNN, Custom, Pretrained
from spaces.canonical import differences, fingerprint, from_json, to_json
from spaces.data import CustomData, Digits, ImageFolder, KerasDataset, Npz
from spaces.errors import SearchError, SpaceError
from spaces.space import Hole, Recipe, Space, baseline, combinations, fill, flatten, resolve
from spaces.training import SGD, Adam, AdamW, Augment, Constant, Cosine, RMSprop

if TYPE_CHECKING:
    # A parameter may stand in any field, which no type says: to a type checker these three return Any.
    def Int(low: int, high: int, step: int = 1, log: bool = False, default: int | None = None) -> Any: ...
    def Float(low: float, high: float, step: float | None = None, log: bool = False, default: float | None = None) -> Any: ...
    def Choice(*options: Any, default: Any = None, **named: Any) -> Any: ...
else:
    from spaces.parameters import Choice, Float, Int

__all__ = [
    "CNN",
    "SGD",
    "Adam",
    "AdamW",
    "Augment",
    "Choice",
    "Constant",
    "Cosine",
    "Custom",
    "CustomData",
    "Digits",
    "Float",
    "Hole",
    "ImageFolder",
    "Int",
    "KerasDataset",
    "Npz",
    "Pretrained",
    "RMSprop",
    "Recipe",
    "SearchError",
    "Space",
    "SpaceError",
    "baseline",
    "combinations",
    "differences",
    "fill",
    "fingerprint",
    "flatten",
    "from_json",
    "resolve",
    "to_json",
]
