"""Keras callbacks, one worry each."""

from studies.callbacks.best import BestEpoch
from studies.callbacks.epochs import EpochEnd
from studies.callbacks.stop import StopOnRequest
from studies.callbacks.validation import Validation, validates_itself, validation_batch

__all__ = ["BestEpoch", "EpochEnd", "StopOnRequest", "Validation", "validates_itself", "validation_batch"]
