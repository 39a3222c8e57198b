"""What of a database's URL may be kept in a file: no password, and nothing that could be one."""

import re

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

_SECRET = re.compile("passw|secret|token", re.IGNORECASE)


def without_secrets(url: str) -> str | None:
    """The URL without its password and the options that hold secrets.

    None where its parts cannot be told apart, such as with an unescaped `/` and `@` in the password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return None
    public = {name: value for name, value in parsed.query.items() if not _SECRET.search(name)}
    place = (parsed.username, None, parsed.host, parsed.port, parsed.database)
    kept = URL.create(parsed.drivername, *place, query=public).render_as_string(hide_password=False)
    # What stands before a second @ may be the rest of a password.
    is_plain = "@" not in f"{parsed.host}{parsed.database}"
    return kept if is_plain else None


def has_secrets(url: str) -> bool:
    """Whether the URL holds a password, or an option that may be one."""
    kept = without_secrets(url)
    return kept is None or kept != make_url(url).render_as_string(hide_password=False)
