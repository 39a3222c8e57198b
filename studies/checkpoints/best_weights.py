"""The weights of the best trials, kept for an export without retraining."""

import json
import logging
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from spaces.parameters import Scalar
from studies.checkpoints.checkpoint_file import TrainingState, UnreadableError, decode, encode
from studies.checkpoints.stores import CheckpointStore

PATH = "path"
"""In the state of weights: what was trained on, `images`, `features` or `cached views`."""

logger = logging.getLogger(__name__)


class BestWeights:
    """Weights of whole models, by trial; whatever goes wrong is logged, and never ends a trial.

    Args:
        place: Where the checkpoints of the study are.
        study: Identity of the study: the weights of others in the same place are neither read nor removed.
    """

    def __init__(self, place: CheckpointStore, study: str = "") -> None:
        self._store, self._study = place, study

    def save(
        self, number: int, fingerprint: str, attempt: int, weights: Sequence[np.ndarray], state: Mapping[str, Any]
    ) -> None:
        """Write the weights of a trial.

        Args:
            number: The trial's number.
            fingerprint: Changes with whatever was trained.
            attempt: How often the trial has been claimed before.
            weights: As `get_weights` gives them.
            state: What they are; JSON.
        """
        arrays = {str(index): np.asarray(array) for index, array in enumerate(weights)}
        snapshot = TrainingState(0, arrays, state)
        try:
            self._store.write(f"{self._prefix(number)}{attempt}.weights", encode(snapshot, fingerprint, self._study))
        except Exception as error:  # noqa: BLE001 - a full disk, or whatever a file system raises, must not end a trial
            logger.warning("The weights of trial %d could not be kept: %s", number, _reason(error))

    def load(self, number: int, fingerprint: str) -> TrainingState | None:
        """The weights of a trial, of its last attempt that kept any; None if there are none that can be read."""
        found = (re.fullmatch(rf"{re.escape(self._prefix(number))}(\d+)\.weights", name) for name in self._names())
        for attempt in sorted((int(match[1]) for match in found if match), reverse=True):
            try:
                return decode(self._store.read(f"{self._prefix(number)}{attempt}.weights"), fingerprint, self._study)
            except Exception as error:  # noqa: BLE001 - a file system may raise anything
                logger.warning("The weights of trial %d cannot be read: %s", number, _reason(error))
        return None

    def delete_except(self, numbers: Collection[int]) -> None:
        """Remove the weights of all trials but these."""
        for name in self._names():
            found = re.fullmatch(rf"best-{re.escape(self._study[:8])}-(\d+)-\d+\.weights", name)
            if found and int(found[1]) not in numbers:
                try:
                    self._store.remove(name)
                except Exception as error:  # noqa: BLE001 - a file system may raise anything
                    logger.warning("Weights of trial %s could not be removed: %s", found[1], _reason(error))

    def _prefix(self, number: int) -> str:
        """What the names of a trial's files begin with; the content has the whole identity."""
        return f"best-{self._study[:8]}-{number:04}-"

    def _names(self) -> list[str]:
        try:
            return self._store.names()
        except Exception as error:  # noqa: BLE001 - a file system may raise anything
            logger.warning("The weights of the best trials could not be listed: %s", _reason(error))
            return []


def params_fingerprint(params: Mapping[str, Scalar]) -> str:
    """What tells the recipes of one study apart, also those of hypermodels, which are whole only after their training.

    Args:
        params: A trial's parameters by dotted name.
    """
    return json.dumps(dict(params), sort_keys=True)


def saved_weights(snapshot: TrainingState) -> list[np.ndarray]:
    """The weights as `set_weights` takes them."""
    return [snapshot.arrays[str(index)] for index in range(len(snapshot.arrays))]


def _reason(error: Exception) -> str:
    """What went wrong, without a path or a URL, which may hold a password."""
    if isinstance(error, UnreadableError):
        return str(error)
    return f"{error.strerror}" if isinstance(error, OSError) and error.strerror else type(error).__name__
