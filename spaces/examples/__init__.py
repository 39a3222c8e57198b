"""Spaces to run and to copy from: `search run digits` runs `digits.py`."""
