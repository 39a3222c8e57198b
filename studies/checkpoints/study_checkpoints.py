"""The checkpoints of a study and of its trials: two of each trial, the newest that is whole counts."""

import copy
import logging
import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from studies.checkpoints.best_weights import BestWeights
from studies.checkpoints.checkpoint_file import TrainingState, UnreadableError, decode, encode
from studies.checkpoints.stores import CheckpointStore, store_at
from studies.checkpoints.throttle import Throttle

CHECKPOINTS_KEPT = 2
"""So many checkpoints of a trial are kept: the newest, and the one before in case it is torn."""

MIN_INTERVAL_FACTOR = 20.0
"""A trial trains at least so many times as long as its last checkpoint took: they take 5% of the time at most."""

FINAL_CHECKPOINT_SECONDS = 4.0
"""A worker that is told to leave takes a last checkpoint only where the one before took no longer."""

SUFFIX = ".checkpoint"

logger = logging.getLogger(__name__)


class StudyCheckpoints:
    """The checkpoints of a study; those of other studies in the same place are neither read nor removed.

    Args:
        place: A folder, or a URL that fsspec reads, such as `s3://bucket/folder`.
        study: Identity of the study, which each file carries in its name and in its content.
        clock: Seconds that only ever grow.

    Raises:
        OutputError: Nothing that is installed reaches the URL.
    """

    def __init__(self, place: str | Path, study: str = "", *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._study, self._clock = store_at(place), study, clock

    def for_study(self, study: str) -> "StudyCheckpoints":
        """The checkpoints of another study in the same place, by its identity."""
        other = copy.copy(self)
        other._study = study
        return other

    def notices(self) -> list[str]:
        """What to say of the checkpoints of other studies in the same place."""
        try:
            found = [file for name in self._store.names() if (file := _File.of(name)) is not None]
        except Exception as error:  # noqa: BLE001 - a file system may raise anything
            logger.warning("Old checkpoints could not be listed: %s", failure_reason(error))
            return []
        others = sum(file.study != _short(self._study) for file in found)
        return [f"{others} checkpoints of other studies are left as they are, and not used."] if others else []

    @property
    def best_weights(self) -> BestWeights:
        """The weights of the best trials."""
        return BestWeights(self._store, self._study)

    def for_trial(self, number: int, fingerprint: str = "", attempt: int = 0) -> "TrialCheckpoints":
        """The checkpoints of one trial.

        Args:
            number: The trial's number.
            fingerprint: Changes with whatever is trained: a checkpoint with another one is not used.
            attempt: How often the trial has been taken before: two workers that both believe it is theirs never write
                the same file.
        """
        return TrialCheckpoints(self._store, self._study, number, fingerprint, attempt, self._clock)

    def delete_except(self, numbers: Collection[int]) -> None:
        """Remove what stalled workers have left of all trials but these; errors are logged."""
        try:
            names = self._store.names()
        except Exception as error:  # noqa: BLE001 - a file system may raise anything
            logger.warning("Old checkpoints could not be listed: %s", failure_reason(error))
            return
        files = (_File.of(name) for name in names)
        trials = {file.trial for file in files if file is not None and file.study == _short(self._study)}
        for number in trials - set(numbers):
            self.for_trial(number).clear()
        self.best_weights.delete_except(numbers)


class TrialCheckpoints:
    """The checkpoints of one trial, taken by one worker.

    Whatever goes wrong with them is logged, and never ends the trial.

    Args:
        place: Where all checkpoints of the study are.
        study: Identity of the study.
        number: The trial's number.
        fingerprint: Changes with whatever is trained.
        attempt: How often the trial has been taken before.
        clock: Seconds that only ever grow.
    """

    def __init__(
        self,
        place: CheckpointStore,
        study: str,
        number: int,
        fingerprint: str,
        attempt: int,
        clock: Callable[[], float],
    ) -> None:
        self._store, self._study, self._number = place, study, number
        self._fingerprint, self._attempt = fingerprint, attempt
        self._throttle = Throttle(MIN_INTERVAL_FACTOR, clock)
        self._clock = clock
        self._written: list[str] = []
        self._has_looked = self._has_warned = False

    @property
    def is_due(self) -> bool:
        """Whether the trial has trained long enough since the last checkpoint; the first epoch is always due."""
        return self._throttle.is_due

    @property
    def is_quick(self) -> bool:
        """Whether a checkpoint takes so little time that a worker may take one before it leaves."""
        return self._throttle.seconds <= FINAL_CHECKPOINT_SECONDS

    def save(self, snapshot: TrainingState, *, copying_seconds: float = 0.0) -> None:
        """Write a checkpoint whole, then remove those that are not needed any more.

        Args:
            snapshot: What to keep.
            copying_seconds: What taking the snapshot took, which counts as the checkpoint's time.
        """
        started = self._clock()
        name = str(_File(self._number, snapshot.epoch, self._attempt, _short(self._study)))
        try:
            self._store.write(name, encode(snapshot, self._fingerprint, self._study))
            self._written = [*(other for other in self._written if other != name), name]
            self._remove_older()
        except Exception as error:  # noqa: BLE001 - a full disk, or whatever a file system raises, must not end a trial
            self._warn(error)
        self._throttle.record_save(copying_seconds + self._clock() - started)

    def load(self) -> TrainingState | None:
        """The newest checkpoint of any worker that is whole; what is passed over is logged."""
        try:
            files = self._own_files()
        except Exception as error:  # noqa: BLE001 - a file system may raise anything
            logger.warning("Checkpoints of trial %d could not be listed: %s", self._number, failure_reason(error))
            return None
        for file in sorted(files, key=lambda file: (file.epoch, file.attempt), reverse=True):
            try:
                return decode(self._store.read(str(file)), self._fingerprint, self._study)
            except Exception as error:  # noqa: BLE001 - a file system may raise anything
                logger.warning("Checkpoint %s is passed over: %s", file, failure_reason(error))
        return None

    def clear(self) -> None:
        """Remove all of the trial's checkpoints, also of other workers and what they left half written."""
        try:
            for name in self._store.names():
                file = _File.of(name)
                if file is not None and self._is_own(file):
                    self._store.remove(name)
        except Exception as error:  # noqa: BLE001 - a file system may raise anything
            logger.warning("Checkpoints of trial %d could not be removed: %s", self._number, failure_reason(error))

    def _remove_older(self) -> None:
        """Keep the last two of this worker, and until there are two also those of the workers before.

        The last ones are those that were written last: where a trial had to begin again, the checkpoints of later
        epochs are of no use.
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
        """The trial's checkpoints, whoever wrote them."""
        files = (_File.of(name) for name in self._store.names() if name.endswith(SUFFIX))
        return [file for file in files if file is not None and self._is_own(file)]

    def _is_own(self, file: "_File") -> bool:
        """Return True if a file is of this trial of this study."""
        return (file.trial, file.study) == (self._number, _short(self._study))

    def _warn(self, error: Exception) -> None:
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "A checkpoint of trial %d could not be written: %s. It goes on; should its worker be lost, it begins "
                "from an older checkpoint.",
                self._number,
                failure_reason(error),
            )


@dataclass(frozen=True)
class _File:
    """The name of a checkpoint's file."""

    trial: int
    epoch: int
    attempt: int
    study: str

    @staticmethod
    def of(name: str) -> "_File | None":
        """What a name says, also that of a file which was only partly written."""
        found = re.fullmatch(r"(\d{4,})-(\d{5,})-(\d+)(?:-([0-9a-f]{8}))?\..+", name)
        return _File(int(found[1]), int(found[2]), int(found[3]), found[4] or "") if found else None

    def __str__(self) -> str:
        study = f"-{self.study}" if self.study else ""
        return f"{self.trial:04}-{self.epoch:05}-{self.attempt}{study}{SUFFIX}"


def _short(study: str) -> str:
    """The beginning of an identity, which tells the names of the files of studies apart; the content has all of it."""
    return study[:8]


def failure_reason(error: Exception) -> str:
    """What went wrong, without a path or a URL, which may hold a password."""
    if isinstance(error, UnreadableError):
        return str(error)
    return f"{error.strerror}" if isinstance(error, OSError) and error.strerror else type(error).__name__
