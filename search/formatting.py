"""How values, durations and texts from files are written for a reader."""

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
    """The text on one line: control characters, newlines and undecodable bytes as escapes."""
    return "".join(char if char.isprintable() else _escape(char) for char in str(text))


def stop_text(reason: str) -> str:
    """Return the words for a stop reason; a reason of any other kind as it is, on one line."""
    return STOP_TEXT.get(reason) or escape_text(reason)


def redact(text: str) -> str:
    """The text without the users and passwords of the URLs in it, whatever characters they are made of."""
    # What is hidden already stays, with the rest of its line: a server's own words may hold an @.
    hidden = re.sub(r"://(?!\*\*\*@)[^\n]*@", "://***@", text)
    return re.sub(r"([?&][a-z]*(?:passw|secret|token)[a-z]*=)[^&\s]+", r"\1***", hidden, flags=re.IGNORECASE)


def format_metric(value: float | None) -> str:
    """A metric or a loss with four digits; a dash when there is none."""
    if value is None:
        return "-"
    return f"{value:.4f}" if abs(value) < 1e5 else f"{value:.4g}"


def shortest(value: Any) -> Any:
    """A value without the noise of binary fractions: 0.3 for 0.30000000000000004, any other number as it is."""
    if not isinstance(value, float) or not math.isfinite(value):
        return value
    short = float(f"{value:.12g}")
    return short if abs(short - value) <= 4 * math.ulp(value) else value


def format_value(value: Any) -> str:
    """A parameter's value: real numbers with four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else escape_text(value)


def format_duration(seconds: float | None) -> str:
    """Such as `8s`, `1m 23s` or `2h 05m`; parts of a second below 1."""
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
    """A duration that is still growing, in whole seconds."""
    return format_duration(math.floor(max(seconds, 0.0)))


def format_bytes(count: float) -> str:
    """A number of bytes in kB, MB or GB, with three digits."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= 0.9995 * size:
            return f"{count / size:.3g} {unit}"
    return f"{count / 1e3:.3g} kB"


def format_count(count: int, noun: str) -> str:
    """Such as `1 trial` or `1,437 trials`."""
    return f"{count:,} {noun if count == 1 else _plural(noun)}"


def shorten_name(text: str, width: int) -> str:
    """The end of a dotted name, from a dot on where possible, since names differ at their ends."""
    if len(text) <= width:
        return text
    kept = text[len(text) - width + 1 :]
    dot = kept.find(".")
    return "…" + (kept[dot:] if 0 <= dot < width // 2 else kept)


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def _plural(noun: str) -> str:
    if noun.endswith("entry"):
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith("s") else f"{noun}s"


def format_command(*words: str | os.PathLike[str]) -> str:
    """A command to type, quoted for a shell, without passwords."""
    return shlex.join(redact(escape_text(os.fspath(word))) for word in words)
