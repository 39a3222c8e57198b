"""JSON on standard output, for other programs."""

import json
import math
import sys
from typing import Any

from search.display.terminal import print_line
from search.formatting import shortest


def print_json(value: Any) -> None:
    """Write one JSON document, NaN as null, 0.30000000000000004 as 0.3, and Unicode if it can be encoded."""
    document = _finite(value)
    text = json.dumps(document, ensure_ascii=False, indent=2, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(document, ensure_ascii=True, indent=2, allow_nan=False)
    print_line(text)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(child) for child in value]
    return None if isinstance(value, float) and not math.isfinite(value) else shortest(value)
