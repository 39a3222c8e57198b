"""Every test has a cache folder of its own."""

from tests.studies.data.conftest import cache as cache
from tests.studies.data.conftest import photos as photos
