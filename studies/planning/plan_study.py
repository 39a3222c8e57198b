"""Chooses the networks of an open space, once for each study."""

from dataclasses import replace

from spaces.data import ImageFolder
from spaces.heads import has_linear_head
from spaces.loading import LoadedSpace
from spaces.open_space import PLANNED, is_open
from spaces.space import DEFAULT_BACKBONE, Space
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
    stored = stored_space(ref)
    if stored is not None and (earlier := _with_plan(declared.space, stored[0])) is not None:
        space, sampler = earlier, stored[1]
    else:
        plan = plan_photos(declared.space, declared.folder)
        for reason in plan.reasons:
            listener.on_worker_output("plan", reason)
        space, sampler = plan.space, Study.sampler if is_open(plan.space) else "stepwise"
    if settings.sampler == "stepwise":
        settings = replace(settings, sampler=sampler)
    return replace(declared, space=space), settings


def _with_plan(declared: Space, stored: Space) -> Space | None:
    """Return an open space with what the plan of a stored one chose; None if that is the space of another study.

    Every other field is the declared one, so that a change of it is noticed.
    """
    if not (has_linear_head(stored.backbone) or stored.backbone == DEFAULT_BACKBONE):
        return None
    data = declared.data
    if data.image_size is None and isinstance(stored.data, ImageFolder):
        data = replace(data, image_size=stored.data.image_size)
    return replace(declared, data=data, backbone=stored.backbone, **{name: getattr(stored, name) for name in PLANNED})
