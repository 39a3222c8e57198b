import io
import json
import sys

import pytest

from search.display.json_output import print_json


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_json_is_valid_in_every_encoding(monkeypatch, encoding):
    """Names that cannot be encoded, or are not valid text, are escaped."""
    output = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="backslashreplace")
    monkeypatch.setattr(sys, "stdout", output)
    value = {"path": "ü \udcff 😀"}
    print_json(value)
    assert json.loads(output.buffer.getvalue().decode(encoding)) == value
