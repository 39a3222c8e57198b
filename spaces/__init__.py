"""Spaces: how to train an image classifier, and which parameters to search, in pure Python."""

from spaces.backbones import CNN, Branch, Branches, Custom, Pretrained
from spaces.canonical import differences, fingerprint, from_json, to_json
from spaces.data import CustomData, Digits, ImageFolder, KerasDataset, Npz
from spaces.errors import SearchError, SpaceError
from spaces.heads import Linear
from spaces.keras_tuner import KerasTunerModel
from spaces.space import Recipe, Space, SpaceParameter, baseline, combinations, fill, flatten, resolve
from spaces.training import SGD, Adam, AdamW, Augment, Constant, Cosine, FineTune, RMSprop
from spaces.typed_parameters import Choice, Float, Int

Hole = SpaceParameter
"""The name of `SpaceParameter` in earlier releases."""

__all__ = [
    "CNN",
    "SGD",
    "Adam",
    "AdamW",
    "Augment",
    "Branch",
    "Branches",
    "Choice",
    "Constant",
    "Cosine",
    "Custom",
    "CustomData",
    "Digits",
    "FineTune",
    "Float",
    "ImageFolder",
    "Int",
    "KerasDataset",
    "KerasTunerModel",
    "Linear",
    "Npz",
    "Pretrained",
    "RMSprop",
    "Recipe",
    "SearchError",
    "Space",
    "SpaceError",
    "SpaceParameter",
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
