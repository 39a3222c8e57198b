"""Kinds of databases as test parameters."""

import pytest

MYSQL = pytest.param("mysql", marks=pytest.mark.slow)
"""MariaDB: most of its differences from PostgreSQL are the same for every test, so the longer run has them."""
SERVERS = pytest.mark.parametrize("url", ["postgresql", MYSQL], indirect=True)
