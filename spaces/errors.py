"""The errors that a user can cause, each with the exit code of `search`.

    SearchError                1  base of all others; by itself, a bug in search
    ├── UsageError             2  the command line asks for something that does not exist
    ├── SpaceError             3  the space file or the space in it is wrong
    ├── DataError              4  the images or labels cannot be used
    │   └── UnreadableImagesError    some images cannot be read; the others are classified
    ├── ModelError             5  a recipe cannot be built or its weights do not fit
    │   ├── OneTrialError      5  one combination cannot be built: only its trial fails
    │   └── EveryTrialError    5  the user's code fails for every trial: the run ends
    ├── StudyError             6  the study or its database cannot be used
    ├── ExportError            7  an exported model is missing, incomplete or wrong
    ├── OutputError            8  results cannot be written (disk full, read-only folder)
    ├── NoResultError          9  no trial completed
    └── WorkerError           10  a worker process crashed repeatedly

A usage error exits with 2, Ctrl-C with 130, SIGTERM with 143.
"""

from collections.abc import Sequence
from typing import Any


class SearchError(Exception):
    """Base of every error that is reported to the user in one message without a traceback.

    The message holds the field or rule, the value received and, after "\\nhint: ", what to do.
    """

    exit_code = 1


class UsageError(SearchError):
    """The command line asks for something that does not exist, such as a device."""

    exit_code = 2


class SpaceError(SearchError):
    """The space file or the space in it is wrong."""

    exit_code = 3


class DataError(SearchError):
    """The images or labels cannot be used."""

    exit_code = 4


class UnreadableImagesError(DataError):
    """Some images cannot be read; the others are classified.

    Args:
        predictions: The predictions for the readable images, in their order.
        problems: One message for each unreadable image.
    """

    def __init__(self, predictions: Sequence[Any], problems: Sequence[str]) -> None:
        count = len(predictions) + len(problems)
        rest = "the others are classified" if predictions else "none is classified"
        lines = "".join(f"\n  {problem}" for problem in problems)
        summary = f"{len(problems)} of {count} images cannot be read, {rest}:{lines}"
        super().__init__(problems[0] if count == 1 else summary)
        self.predictions = list(predictions)
        self.problems = list(problems)


class ModelError(SearchError):
    """A recipe cannot be built, or its weights are absent or do not fit."""

    exit_code = 5


class OneTrialError(ModelError):
    """One combination of hyperparameters cannot be built; others can."""


class EveryTrialError(ModelError):
    """The user's own code fails in every trial."""


class StudyError(SearchError):
    """The study or its database cannot be used."""

    exit_code = 6


class ExportError(SearchError):
    """An exported model is missing, incomplete or wrong."""

    exit_code = 7


class OutputError(SearchError):
    """Results cannot be written."""

    exit_code = 8


class NoResultError(SearchError):
    """The search ended and no trial completed."""

    exit_code = 9


class WorkerError(SearchError):
    """A worker process crashed repeatedly, also after restarts."""

    exit_code = 10
