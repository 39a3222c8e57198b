"""Translates errors of databases into messages for the user."""

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
    """Turn database errors into one message that never contains the password.

    Raises:
        StudyError: Replaces any error of SQLAlchemy or of Optuna's storage.
    """
    try:
        yield
    except DATABASE_ERRORS as error:
        raise StudyError(_explanation(url, _reason(error))) from error
    except RuntimeError as error:
        if "table schema" not in str(error):
            raise
        raise StudyError(f"database {redact_url(url)} was created by another version of Optuna: {error}") from error


def _explanation(url: str, reason: str) -> str:
    """Return a message for the driver's error text."""
    database = redact_url(url)
    if "locked" in reason:
        return (
            f"database {database} is locked by another process (waited {BUSY_TIMEOUT_SECONDS:g} s)\n"
            "hint: stop that process and run the command again"
        )
    if any(sign in reason for sign in ("permission denied", "command denied")):
        return f"missing database privileges on {database}: {reason}\nhint: see docs/many-machines.md"
    if any(sign in reason for sign in ("readonly", "disk", "unable to open")):
        return f"cannot write to database {database}: {reason}\nhint: free disk space, or pass a different --output"
    if "version_info" in reason:
        return f"database {database} has no studies yet\nhint: create one with `search run`"
    if "password" in reason:
        reason += "\nhint: passwords are not stored; set SEARCH_STORAGE to the full URL, or pass it with --storage"
    return f"cannot use database {database}: {reason}"


def _reason(error: BaseException) -> str:
    """Return the driver's error text on one line."""
    while (cause := getattr(error, "orig", None) or error.__cause__) is not None:
        error = cause
    return " ".join(str(error).split())
