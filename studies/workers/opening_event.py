"""The event of an opened study."""

import math

from spaces.space import Space
from spaces.training import METRICS
from studies.database.open_study import OpenStudy
from studies.database.urls import redact_url
from studies.events import StudyOpened
from studies.outcome import Progress
from studies.settings import Study


def opening_event(
    opened: OpenStudy, space: Space, settings: Study, before: Progress, seconds_left: float
) -> StudyOpened:
    """Return the event of an opened study, without notices.

    Args:
        opened: The study.
        space: Its space.
        settings: How it is searched.
        before: Progress before this run.
        seconds_left: Seconds until the time limit; infinite without one.
    """
    # Keras is imported here.
    from studies.backend import device_info

    return StudyOpened(
        name=opened.study.study_name,
        storage=redact_url(opened.url),
        metric=space.metric,
        direction=METRICS[space.metric],
        resumed=opened.resumed,
        progress=before,
        timeout_seconds=None if math.isinf(seconds_left) else seconds_left,
        device=device_info.describe_device(),
        sampler=settings.sampler,
        pruner=settings.pruner,
        seed=settings.seed,
        identity=opened.identity,
    )
