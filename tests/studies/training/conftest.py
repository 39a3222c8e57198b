"""Small networks in place of those of Keras."""

import pytest

from tests.support.fitting import small_network


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace every pretrained network by a small one."""
    monkeypatch.setattr("studies.models.pretrained.make_network", small_network)
