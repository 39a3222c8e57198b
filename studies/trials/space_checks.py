"""What can be seen to go wrong before the first trial."""

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spaces.backbones import Pretrained
from spaces.errors import DataError, ModelError, SpaceError
from spaces.keras_tuner import HYPERMODEL_DEFAULTS, KerasTunerModel
from spaces.parameters import Choice
from spaces.source_fingerprint import untraced
from spaces.space import Space, records_in
from spaces.training import PRECISIONS, FineTune
from studies.backend.keras_backend import require_backend
from studies.models.weights_file import weights_path
from studies.training.epochs import max_value
from studies.training.scores import MIN_CLASSES

if TYPE_CHECKING:
    from studies.data.dataset import Dataset


FEWEST_EPOCHS, MOST_EPOCHS, IMAGES_PER_TRIAL = 10, 30, 400_000
DEFAULT_BATCH_SIZE: Any = Space.__dataclass_fields__["batch_size"].default


def with_data_defaults(space: Space, images: int) -> Space:
    """The space with the epochs and the batch size that suit the images, where the user left them to us.

    Args:
        space: The space as written.
        images: Number of training images.

    Raises:
        SpaceError: A batch size that the user chose is larger than the data.
    """
    changes: dict[str, Any] = {}
    if space.epochs is None:
        changes["epochs"] = min(MOST_EPOCHS, max(FEWEST_EPOCHS, IMAGES_PER_TRIAL // images))
    batch_size: Any = space.batch_size
    if batch_size == DEFAULT_BATCH_SIZE:
        sizes = [size for size in batch_size.options if size <= images] or [min(16, images)]
        changes["batch_size"] = Choice(*sizes, default=min(batch_size.default, sizes[-1]))
    elif isinstance(space.model, KerasTunerModel) and batch_size == HYPERMODEL_DEFAULTS["batch_size"]:
        changes["batch_size"] = min(batch_size, images)
    elif (size := max_value(batch_size)) > images:
        raise SpaceError(f"batch_size: {size} is larger than the {images} training images: give at most {images}")
    return dataclasses.replace(space, **changes)


def precision_of_file(space: Space) -> tuple[Any, tuple[str, ...]]:
    """The space's precision, or the global policy that its file has set in Keras, which is reset; and a notice.

    Keras forgets a global policy after a trial, so it counts as a field of the space.

    Raises:
        ModelError: The policy is none of those that a space may have.
    """
    keras = sys.modules.get("keras")
    policy = "float32" if keras is None else str(keras.config.dtype_policy().name)
    if keras is None or policy == "float32":
        return space.precision, ()
    if policy not in PRECISIONS:
        raise ModelError(
            f"the space file sets Keras' global type of numbers to {policy}: remove it, since models are trained in "
            f"{', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}, as Space(precision=...) says"
        )
    keras.config.set_dtype_policy("float32")
    if space.precision not in ("float32", policy):
        return space.precision, (f"Keras' global policy {policy} has no effect: Space(precision=...) decides it.",)
    return policy, (f"The space file sets Keras' global policy {policy}: it counts as Space(precision={policy!r}).",)


def check_weights(space: Space, folder: Path) -> None:
    """Make sure that every file of weights in the space is there.

    Raises:
        ModelError: One is not.
    """
    for record in records_in(space):
        if isinstance(record, Pretrained):
            every = record.weights.options if isinstance(record.weights, Choice) else (record.weights,)
            for weights in every:
                if weights not in (None, "imagenet"):
                    weights_path(dataclasses.replace(record, weights=weights), folder)


def check_fine_tuning(space: Space) -> None:
    """Make sure that a second phase has a backbone to train.

    Raises:
        SpaceError: There is one, but no backbone of the space is `Pretrained`.
    """
    is_wanted = any(isinstance(record, FineTune) for record in records_in(space.fine_tune))
    if is_wanted and not any(isinstance(record, Pretrained) for record in records_in(space.backbone)):
        raise SpaceError("fine_tune: only a Pretrained(...) backbone can be fine-tuned: give one, or remove fine_tune")


def check_metric(metric: str, dataset: "Dataset") -> None:
    """Make sure that the metric tells models apart on these images.

    Raises:
        DataError: It would be the same for every model.
    """
    fewest = MIN_CLASSES.get(metric.removeprefix("val_"), 2)
    if len(dataset.classes) < fewest:
        raise DataError(
            f"metric: {metric} needs at least {fewest} classes, got {len(dataset.classes)}\nhint: use val_accuracy"
        )
    if metric == "val_auc" and len(set(dataset.validation.labels.tolist())) < 2:
        raise DataError("metric: val_auc needs validation images of at least two classes: use a larger validation")


def check_hypermodel(space: Space, *, exports: bool) -> list[str]:
    """Make sure that the hypermodel of a space, where it has one, can be searched and exported.

    Args:
        space: The space.
        exports: Whether the best trial's model is wanted.

    Returns:
        What the user should know about it, one sentence each.

    Raises:
        ModelError: It cannot.
    """
    if not isinstance(space.model, KerasTunerModel):
        return []
    # Keras and KerasTuner are imported only where they are needed.
    require_backend()
    from studies.keras_tuner.suggest import check_hypermodel as check

    return check(space, exports=exports)


def notices_of_code(space: Space) -> list[str]:
    """Return what to know of the code in a space: which changes cannot be detected."""
    if unknown := untraced(space):
        what = ", ".join(unknown)
        return [f"Changes in {what} cannot be detected: after one, start a new study with --study NEWNAME."]
    return []
