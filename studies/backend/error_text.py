"""What an error says, on one line: of a native traceback the line that tells what went wrong."""

import re

LONGEST = 300

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


def reason_of(error: BaseException) -> str:
    """Return an error's type and what it says, on one line of at most 300 characters or so.

    Errors of TensorFlow and Keras begin with where they arose and end with what went wrong: that line is kept.
    """
    text = summary_of(str(error))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def is_native(text: str) -> bool:
    """Return True if a message holds a traceback of a library: where something arose, before what went wrong."""
    return any(_GENERIC.search(line) for line in text.splitlines() if not line.startswith((" ", "\t")))


def summary_of(text: str) -> str:
    """Return a message on one line; where it is too long, its beginning and its informative last line."""
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
    if len(whole) <= LONGEST or len(lines) < 2:
        return _cut(whole)
    return f"{_cut(lines[0], LONGEST // 2)} … {_cut(lines[-1], LONGEST // 2)}"


def _cut(text: str, most: int = LONGEST) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
