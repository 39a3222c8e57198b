"""Errors of databases in plain words."""

import contextlib
from collections.abc import Iterator

import optuna
from sqlalchemy import exc

from spaces.errors import StudyError
from studies.database.urls import redact_url

BUSY_TIMEOUT_SECONDS = 20.0


DATABASE_ERRORS = (exc.SQLAlchemyError, optuna.exceptions.StorageInternalError)


@contextlib.contextmanager
def translate_errors(url: str) -> Iterator[None]:
    """Turn errors of the database into one message that never holds the password.

    Raises:
        StudyError: In place of any error of SQLAlchemy or of Optuna's storage.
    """
    try:
        yield
    except DATABASE_ERRORS as error:
        raise StudyError(_explanation(url, _reason(error))) from error
    except RuntimeError as error:
        if "table schema" not in str(error):
            raise
        raise StudyError(f"the database {redact_url(url)} was made by another version of Optuna: {error}") from error


def _explanation(url: str, reason: str) -> str:
    """What the driver's words mean for the user."""
    if "locked" in reason:
        return (
            f"the database {redact_url(url)} has been locked by another process for {BUSY_TIMEOUT_SECONDS:g} seconds: "
            "end that process, then give the same command again"
        )
    if any(sign in reason for sign in ("permission denied", "command denied")):
        return (
            f"the database {redact_url(url)} refuses its user what search needs ({reason}): docs/many-machines.md says "
            "which rights to grant"
        )
    if any(sign in reason for sign in ("readonly", "disk", "unable to open")):
        return f"the database {redact_url(url)} cannot be written ({reason}): free space or give another --output"
    if "version_info" in reason:
        return f"the database {redact_url(url)} holds no studies yet: search run creates them"
    if "password" in reason:
        reason += ": passwords are not kept: give the whole URL in SEARCH_STORAGE or with --storage"
    return f"the database {redact_url(url)} cannot be used: {reason}"


def _reason(error: BaseException) -> str:
    """The driver's own words, on one line."""
    while (cause := getattr(error, "orig", None) or error.__cause__) is not None:
        error = cause
    return " ".join(str(error).split())
