"""Shorten the message of an error to one line; of a library's traceback keep the informative line."""

import re

MAX_LENGTH = 300

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_APPENDED = re.compile(r"^(Call arguments|Arguments) received by|^Original stack trace for|^Stack trace for op")
_GENERIC = re.compile(
    r"^Graph execution error:?$|^Exception encountered when calling|^\d+ root error\(s\) found|most recent call last"
    r"|^Detected at node|^<stack traces unavailable>|^The above exception|^During handling of|^  +|^\t|^File \""
    r"|^\[\[\{\{node|^\(\d+\) \w+: *$|^[\^~ ]+$|^\.\.\.$|^0 successful operations|^0 derived errors ignored"
)
_OPERATION = re.compile(
    r"^\{\{function_node [^}]*\}\} |\s*\[\[\{\{node [^\]]*\]\]|\s*\[Op:[^\]]*\]( name: ?)?|\s*\[\[[^\]]*/_\d+\]\]"
)


def error_reason(error: BaseException) -> str:
    """Return the type and the message of an error on one line of about 300 characters.

    Errors of TensorFlow and Keras begin with their location and end with their cause: only the cause is kept.
    """
    text = summarize(str(error))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def is_native(text: str) -> bool:
    """Return True if a message contains a traceback of a library."""
    return any(_GENERIC.search(line) for line in text.splitlines() if not line.startswith((" ", "\t")))


def summarize(text: str) -> str:
    """Return a message on one line; if it is too long, its first and its last informative line."""
    lines: list[str] = []
    for raw in _COLOURS.sub("", text).splitlines():
        if _APPENDED.match(raw.strip()):
            break
        line = " ".join(_OPERATION.sub("", raw).split())
        if line and not _GENERIC.search(raw):
            lines.append(line)
    if lines and is_native(text):
        return _cut(lines[-1])
    whole = " ".join(_OPERATION.sub("", text).split())
    if len(whole) <= MAX_LENGTH or len(lines) < 2:
        return _cut(whole)
    return f"{_cut(lines[0], MAX_LENGTH // 2)} … {_cut(lines[-1], MAX_LENGTH // 2)}"


def _cut(text: str, length: int = MAX_LENGTH) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
