"""Checkpoints of a study and its trials: two per trial, of which the newest complete one is used."""

import copy
import logging
import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from studies.checkpoints.best_weights import BestWeights
from studies.checkpoints.checkpoint_file import TrainingState, decode, encode, failure_reason, log_failure
from studies.checkpoints.stores import CheckpointStore, store_at
from studies.checkpoints.throttle import Throttle

CHECKPOINTS_KEPT = 2
"""Checkpoints per trial: the newest, and the one before in case the newest is damaged."""

MIN_INTERVAL_FACTOR = 20.0
"""Minimum interval between checkpoints, as a multiple of the time that the last one took: at most 5% overhead."""

FINAL_CHECKPOINT_SECONDS = 4.0
"""A stopping worker saves a final checkpoint only if the previous one took no longer than this."""

SUFFIX = ".checkpoint"

logger = logging.getLogger(__name__)


class StudyCheckpoints:
    """Checkpoints of a study; those of other studies in the same store are neither read nor removed.

    Args:
        place: A folder, or a URL that fsspec supports, such as `s3://bucket/folder`.
        study: Identity of the study, part of each file's name and content.
        clock: Monotonic clock in seconds.

    Raises:
        OutputError: No installed package supports the URL.
    """

    def __init__(self, place: str | Path, study: str = "", *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._study, self._clock = store_at(place), study, clock

    def for_study(self, study: str) -> "StudyCheckpoints":
        """Return the checkpoints of another study in the same store, by its identity."""
        other = copy.copy(self)
        other._study = study
        return other

    def notices(self) -> list[str]:
        """Return notices about checkpoints of other studies in the same store."""
        others = sum(file.study != _short(self._study) for file in self._files())
        return [f"ignoring {others} checkpoints of other studies"] if others else []

    @property
    def best_weights(self) -> BestWeights:
        """Weights of the best trials."""
        return BestWeights(self._store, self._study)

    def for_trial(self, number: int, fingerprint: str = "", attempt: int = 0) -> "TrialCheckpoints":
        """Return the checkpoints of one trial.

        Args:
            number: The trial's number.
            fingerprint: Identifies what is trained; checkpoints with another fingerprint are not used.
            attempt: Number of earlier claims of the trial, so that two workers that both believe they hold it never
                write the same file.
        """
        return TrialCheckpoints(self._store, self._study, number, fingerprint, attempt, self._clock)

    def delete_except(self, numbers: Collection[int]) -> None:
        """Remove the checkpoints of all other trials, which stalled workers may leave; errors are logged."""
        trials = {file.trial for file in self._files() if file.study == _short(self._study)}
        for number in trials - set(numbers):
            self.for_trial(number).clear()
        self.best_weights.delete_except(numbers)

    def _files(self) -> list["_File"]:
        with log_failure("could not list old checkpoints"):
            return [file for name in self._store.names() if (file := _File.of(name)) is not None]
        return []


class TrialCheckpoints:
    """Checkpoints of one trial, saved by one worker.

    Errors are logged and never end the trial.

    Args:
        store: Store of the study's checkpoints.
        study: Identity of the study.
        number: The trial's number.
        fingerprint: Identifies what is trained.
        attempt: Number of earlier claims of the trial.
        clock: Monotonic clock in seconds.
    """

    def __init__(
        self,
        store: CheckpointStore,
        study: str,
        number: int,
        fingerprint: str,
        attempt: int,
        clock: Callable[[], float],
    ) -> None:
        self._store, self._study, self._number = store, study, number
        self._fingerprint, self._attempt = fingerprint, attempt
        self._throttle = Throttle(MIN_INTERVAL_FACTOR, clock)
        self._clock = clock
        self._written: list[str] = []
        self._has_looked = self._has_warned = False

    @property
    def is_due(self) -> bool:
        """Return True if the trial has trained long enough since its last checkpoint, or has none yet."""
        return self._throttle.is_due

    @property
    def is_quick(self) -> bool:
        """Return True if checkpoints are fast enough for a worker to save one while stopping."""
        return self._throttle.seconds <= FINAL_CHECKPOINT_SECONDS

    def save(self, training_state: TrainingState, *, copying_seconds: float = 0.0) -> None:
        """Write a checkpoint, then remove those that are no longer needed.

        Args:
            training_state: Content of the checkpoint.
            copying_seconds: Seconds spent on copying the training state, part of the checkpoint's time.
        """
        started = self._clock()
        name = str(_File(self._number, training_state.epoch, self._attempt, _short(self._study)))
        try:
            self._store.write(name, encode(training_state, self._fingerprint, self._study))
            self._written = [*(other for other in self._written if other != name), name]
            self._remove_older()
        except Exception as error:  # noqa: BLE001 - no file system error may end a trial
            self._warn(error)
        self._throttle.record_save(copying_seconds + self._clock() - started)

    def load(self) -> TrainingState | None:
        """Return the newest complete checkpoint of any worker; log the ones that are ignored."""
        files: list[_File] = []
        with log_failure("could not list the checkpoints of trial %d", self._number):
            files = self._own_files()
        for file in sorted(files, key=lambda file: (file.epoch, file.attempt), reverse=True):
            with log_failure("ignoring checkpoint %s", file):
                return decode(self._store.read(str(file)), self._fingerprint, self._study)
        return None

    def clear(self) -> None:
        """Remove all checkpoints of the trial, including incomplete ones and those of other workers."""
        with log_failure("could not remove the checkpoints of trial %d", self._number):
            for name in self._store.names():
                file = _File.of(name)
                if file is not None and self._is_own(file):
                    self._store.remove(name)

    def _remove_older(self) -> None:
        """Keep this worker's last two checkpoints, and earlier workers' until there are two.

        Age is the order of writing, not the epoch: if a trial was restarted, checkpoints of later epochs are obsolete.
        """
        if len(self._written) < CHECKPOINTS_KEPT:
            return
        kept, older = self._written[-CHECKPOINTS_KEPT:], self._written[:-CHECKPOINTS_KEPT]
        if not self._has_looked:
            older += [
                str(file) for file in self._own_files() if file.attempt <= self._attempt and str(file) not in kept
            ]
            self._has_looked = True
        self._written = kept
        for name in older:
            self._store.remove(name)

    def _own_files(self) -> list["_File"]:
        """Return the trial's complete checkpoints of all workers."""
        files = (_File.of(name) for name in self._store.names() if name.endswith(SUFFIX))
        return [file for file in files if file is not None and self._is_own(file)]

    def _is_own(self, file: "_File") -> bool:
        """Return True if a file belongs to this trial of this study."""
        return (file.trial, file.study) == (self._number, _short(self._study))

    def _warn(self, error: Exception) -> None:
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "could not write checkpoint for trial %d: %s. Training continues; after a crash it resumes from an "
                "older checkpoint.",
                self._number,
                failure_reason(error),
            )


@dataclass(frozen=True)
class _File:
    """File name of a checkpoint."""

    trial: int
    epoch: int
    attempt: int
    study: str

    @staticmethod
    def of(name: str) -> "_File | None":
        """Parse a name, also that of an incomplete file; None if it is not a checkpoint's."""
        found = re.fullmatch(r"(\d{4,})-(\d{5,})-(\d+)(?:-([0-9a-f]{8}))?\..+", name)
        return _File(int(found[1]), int(found[2]), int(found[3]), found[4] or "") if found else None

    def __str__(self) -> str:
        study = f"-{self.study}" if self.study else ""
        return f"{self.trial:04}-{self.epoch:05}-{self.attempt}{study}{SUFFIX}"


def _short(study: str) -> str:
    """Return the prefix of a study's identity that file names contain; only the content has all of it."""
    return study[:8]
