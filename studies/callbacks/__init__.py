"""Keras callbacks, one worry each."""

from studies.callbacks.best import BestEpoch
from studies.callbacks.checkpoint import Checkpointing
from studies.callbacks.epochs import EpochEnd
from studies.callbacks.stop import StopOnRequest
from studies.callbacks.validation import Validation, validates_itself, validation_batch

__all__ = [
    "BestEpoch",
    "Checkpointing",
    "EpochEnd",
    "StopOnRequest",
    "Validation",
    "validates_itself",
    "validation_batch",
]
