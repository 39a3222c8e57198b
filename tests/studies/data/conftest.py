"""Every test has a cache folder of its own."""

from pathlib import Path

import pytest

from tests.support.images import write_classes


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("SEARCH_CACHE", str(folder))
    monkeypatch.delenv("SEARCH_CACHE_GB", raising=False)
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of 10 images of each of two classes."""
    return write_classes(tmp_path / "photos", {"a": 10, "b": 10})
