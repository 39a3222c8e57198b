"""Stores the weights of the best trials, for an export without retraining."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from spaces.parameters import Scalar
from studies.checkpoints.checkpoint_file import TrainingState, decode, encode, log_failure
from studies.checkpoints.stores import CheckpointStore

PATH = "path"
"""Key in the stored state of what was trained on: `images`, `features` or `cached views`."""


class BestWeights:
    """Weights of full models by trial; errors are logged and never end a trial.

    Args:
        store: Store of the study's checkpoints.
        study: Identity of the study; weights of other studies in the store are neither read nor removed.
    """

    def __init__(self, store: CheckpointStore, study: str = "") -> None:
        self._store, self._study = store, study

    def save(
        self, number: int, fingerprint: str, attempt: int, weights: Sequence[np.ndarray], state: Mapping[str, Any]
    ) -> None:
        """Write the weights of a trial, as `get_weights` returns them, with a `state` for JSON that describes them.

        `fingerprint` identifies what was trained, and `attempt` the claim of the trial.
        """
        arrays = {str(index): np.asarray(array) for index, array in enumerate(weights)}
        training_state = TrainingState(0, arrays, state)
        with log_failure("could not save the weights of trial %d", number):
            name = f"{self._prefix(number)}{attempt}.weights"
            self._store.write(name, encode(training_state, fingerprint, self._study))

    def load(self, number: int, fingerprint: str) -> TrainingState | None:
        """Return the weights of a trial's last attempt that saved any; None if none can be read."""
        found = (re.fullmatch(rf"{re.escape(self._prefix(number))}(\d+)\.weights", name) for name in self._names())
        for attempt in sorted((int(match[1]) for match in found if match), reverse=True):
            with log_failure("could not read the weights of trial %d", number):
                return decode(self._store.read(f"{self._prefix(number)}{attempt}.weights"), fingerprint, self._study)
        return None

    def delete_except(self, numbers: Collection[int]) -> None:
        """Remove the weights of all other trials."""
        for name in self._names():
            found = re.fullmatch(rf"best-{re.escape(self._study[:8])}-(\d+)-\d+\.weights", name)
            if found and int(found[1]) not in numbers:
                with log_failure("could not remove the weights of trial %s", found[1]):
                    self._store.remove(name)

    def _prefix(self, number: int) -> str:
        """Return the prefix of the names of a trial's files; only their content has the full study identity."""
        return f"best-{self._study[:8]}-{number:04}-"

    def _names(self) -> list[str]:
        with log_failure("could not list the weights of the best trials"):
            return self._store.names()
        return []


def params_fingerprint(params: Mapping[str, Scalar]) -> str:
    """Return a fingerprint of a recipe within its study, also for hypermodels, which are incomplete before training."""
    return json.dumps(dict(params), sort_keys=True)


def saved_weights(training_state: TrainingState) -> list[np.ndarray]:
    """Return the weights for `set_weights`."""
    return [training_state.arrays[str(index)] for index in range(len(training_state.arrays))]
