"""Formats values, durations, sizes and texts for display."""

import math
import os
import re
import shlex
from typing import Any

from studies.stop_request import StopReason

STOP_TEXT: dict[str, str] = {
    StopReason.SIGINT: "Ctrl-C",
    StopReason.SIGPIPE: "a closed output",
    StopReason.STUDY_STOPPED: "`search stop`",
    StopReason.TIME_LIMIT: "the time limit",
    StopReason.GPU_HOURS: "the GPU hours limit",
}


def escape_text(text: object) -> str:
    """Return a text on one line, with control characters, newlines and undecodable bytes escaped."""
    return "".join(char if char.isprintable() else _escape(char) for char in str(text))


def stop_text(reason: str) -> str:
    """Return the words for a stop reason; other texts are returned on one line."""
    return STOP_TEXT.get(reason) or escape_text(reason)


def redact(text: str) -> str:
    """Return a text without the users and passwords of its URLs, whatever characters they contain."""
    # Skip URLs that are redacted already: an @ may follow in the rest of the line.
    hidden = re.sub(r"://(?!\*\*\*@)[^\n]*@", "://***@", text)
    return re.sub(r"([?&][a-z]*(?:passw|secret|token)[a-z]*=)[^&\s]+", r"\1***", hidden, flags=re.IGNORECASE)


def format_metric(value: float | None) -> str:
    """Return a metric or loss with four decimals; a dash for None."""
    if value is None:
        return "-"
    return f"{value:.4f}" if abs(value) < 1e5 else f"{value:.4g}"


def shortest(value: Any) -> Any:
    """Return a value without rounding noise: 0.3 for 0.30000000000000004, other values unchanged."""
    if not isinstance(value, float) or not math.isfinite(value):
        return value
    short = float(f"{value:.12g}")
    return short if abs(short - value) <= 4 * math.ulp(value) else value


def format_value(value: Any) -> str:
    """Return a parameter value, floats with four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else escape_text(value)


def format_duration(seconds: float | None) -> str:
    """Return a duration such as `0.3s`, `8s`, `1m 23s` or `2h 05m`."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    if 0 < seconds < 0.95:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(max(seconds, 0.0)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24}d {hours % 24:02d}h"
    if hours:
        return f"{hours}h {minutes:02d}m"
    return f"{minutes}m {rest:02d}s" if minutes else f"{rest}s"


def format_elapsed(seconds: float) -> str:
    """Return a growing duration in whole seconds."""
    return format_duration(math.floor(max(seconds, 0.0)))


def format_bytes(count: float) -> str:
    """Return a number of bytes in kB, MB or GB, with three digits."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= 0.9995 * size:
            return f"{count / size:.3g} {unit}"
    return f"{count / 1e3:.3g} kB"


def format_count(count: int, noun: str) -> str:
    """Return a count such as `1 trial` or `1,437 trials`."""
    return f"{count:,} {noun if count == 1 else _plural(noun)}"


def shorten_name(text: str, width: int) -> str:
    """Return the end of a dotted name, from a dot if possible, since names differ at their ends."""
    if len(text) <= width:
        return text
    end = text[len(text) - width + 1 :]
    dot = end.find(".")
    return "…" + (end[dot:] if 0 <= dot < width // 2 else end)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def _plural(noun: str) -> str:
    if noun.endswith("entry"):
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith("s") else f"{noun}s"


def format_command(*words: str | os.PathLike[str]) -> str:
    """Return a command line, quoted for a shell, without passwords."""
    return shlex.join(redact(escape_text(os.fspath(word))) for word in words)
