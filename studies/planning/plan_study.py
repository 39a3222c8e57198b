"""Chooses the networks of an open space, once for each study."""

from dataclasses import replace

from spaces.loading import LoadedSpace
from spaces.open_space import is_open
from studies.database.lookup import stored_space
from studies.events import RunListener
from studies.planning.photos import plan_photos
from studies.settings import Study
from studies.study_folder import StudyRef


def plan_study(
    declared: LoadedSpace, settings: Study, ref: StudyRef, listener: RunListener
) -> tuple[LoadedSpace, Study]:
    """Return the space and the settings of a study whose declared space leaves the networks open.

    They are those of an earlier run, if there is one, so that every run and every machine has the same plan; else they
    are computed from the images. Without pretrained networks the space stays as it is, and `tpe` searches it.

    Args:
        declared: An open space.
        settings: How it is searched.
        ref: Where the study is stored.
        listener: Notified of the reasons.

    Raises:
        DataError: The folder cannot be used.
    """
    if (stored := stored_space(ref)) is not None:
        space, sampler = stored
    else:
        plan = plan_photos(declared.space, declared.folder)
        for reason in plan.reasons:
            listener.on_worker_output("plan", reason)
        space, sampler = plan.space, Study.sampler if is_open(plan.space) else "stepwise"
    if settings.sampler == "stepwise":
        settings = replace(settings, sampler=sampler)
    return replace(declared, space=space), settings
