"""URLs of databases: checks them, and removes their secrets."""

import importlib.util
import re
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from spaces.errors import StudyError

ACCEPTED = {
    "sqlite": ("pysqlite",),
    "postgresql": ("psycopg", "psycopg2"),
    "mysql": ("pymysql", "mysqldb"),
}
"""Supported drivers by kind of database; the first one is recommended."""

_PREFERRED = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}
_OTHER_NAMES = {"postgres": "postgresql", "pgsql": "postgresql", "mariadb": "mysql", "sqlite3": "sqlite"}
_PACKAGES = {
    "psycopg": ("psycopg", "'psycopg[binary]'"),
    "psycopg2": ("psycopg2", "psycopg2-binary"),
    "pymysql": ("pymysql", "pymysql"),
    "mysqldb": ("MySQLdb", "mysqlclient"),
}
"""Module of each driver, and the package that pip installs it from."""

_SECRET = re.compile("passw|secret|token", re.IGNORECASE)


def remove_secrets(url: str) -> str | None:
    """Return a URL without its password and secret options.

    None if its parts are ambiguous, such as with an unescaped `/` or `@` in the password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return None
    public = {name: value for name, value in parsed.query.items() if not _SECRET.search(name)}
    place = (parsed.username, None, parsed.host, parsed.port, parsed.database)
    kept = URL.create(parsed.drivername, *place, query=public).render_as_string(hide_password=False)
    # Text before a second @ may be the rest of a password.
    is_plain = "@" not in f"{parsed.host}{parsed.database}"
    return kept if is_plain else None


def parse_url(url: str) -> URL:
    """Return the parts of a database's URL.

    Raises:
        StudyError: It is not a URL, or its database or driver is not supported.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # The original error may contain a password that was parsed as a port, and a traceback would show it.
        raise StudyError(
            "storage: expected a database URL, such as postgresql+psycopg://host/name or sqlite:///study.db"
        ) from None
    typed, _, driver = parsed.drivername.partition("+")
    backend = _OTHER_NAMES.get(typed, typed)
    if backend not in ACCEPTED:
        raise StudyError(f"storage: {typed} is not supported\nhint: use {', '.join(_PREFERRED.values())}")
    if typed != backend or (driver and driver not in ACCEPTED[backend]):
        raise StudyError(f"storage: {parsed.drivername}:// is not supported\nhint: write {_PREFERRED[backend]}://...")
    if backend == "sqlite":
        _refuse_memory(parsed)
    return parsed


def check_url(url: str) -> None:
    """Check a URL and its driver without connecting.

    Raises:
        StudyError: The URL is wrong, or its driver is not installed.
    """
    parsed = parse_url(url)
    if (driver := parsed.get_driver_name()) in _PACKAGES and importlib.util.find_spec(_PACKAGES[driver][0]) is None:
        raise StudyError(missing_driver(url))


def missing_driver(url: str) -> str:
    """Return the message for a URL whose driver is not installed."""
    parsed = parse_url(url)
    driver, preferred = parsed.get_driver_name(), _PREFERRED[parsed.get_backend_name()]
    package = _PACKAGES.get(driver, (driver, driver))[1]
    message = f"the driver {driver} of {parsed.drivername}:// is not installed"
    if parsed.drivername == preferred or preferred.endswith(f"+{driver}"):
        return f"{message}\nhint: pip install {package}"
    own = _PACKAGES[preferred.partition("+")[2]]
    installed = "" if importlib.util.find_spec(own[0]) else f" (pip install {own[1]})"
    return f"{message}\nhint: write {preferred}://...{installed}, or pip install {package}"


def _refuse_memory(url: URL) -> None:
    database = url.database or ""
    if database in ("", ":memory:") or ":memory:" in database or url.query.get("mode") == "memory":
        raise StudyError(
            "storage: an in-memory SQLite database cannot be shared or resumed\n"
            "hint: use a file, such as sqlite:///study.db"
        )
    if database.startswith("file:"):
        raise StudyError("storage: SQLite's file: URIs are not supported\nhint: write sqlite:/// and the file's path")


def sqlite_url(file: Path) -> str:
    """Return the URL of a SQLite file."""
    return URL.create("sqlite", database=str(file.resolve())).render_as_string(hide_password=False)


def redact_url(url: str) -> str:
    """Return a URL for display: without user, password and options, whatever characters they contain."""
    scheme, _, rest = url.partition("://")
    if scheme.startswith("sqlite"):
        return rest.removeprefix("/").partition("?")[0] or ":memory:"
    place, _, options = rest.partition("?")
    _, secret, server = place.rpartition("@")
    return f"{scheme}://***" if "@" in options else f"{scheme}://{'***@' if secret else ''}{server}"
