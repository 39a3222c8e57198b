"""Checks a space before the first trial, and completes it from the images."""

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spaces.backbones import Pretrained
from spaces.errors import DataError, ModelError, SpaceError
from spaces.heads import has_linear_head
from spaces.keras_tuner import HYPERMODEL_DEFAULTS, KerasTunerModel
from spaces.parameters import Choice
from spaces.source_fingerprint import untraced
from spaces.space import Space, records_in
from spaces.training import PRECISIONS, FineTune
from studies.backend.keras_backend import require_backend
from studies.data.folds import fewest_images
from studies.models.weights_file import weights_path
from studies.training.epochs import max_value
from studies.training.scores import MIN_CLASSES

if TYPE_CHECKING:
    from studies.data.dataset import Dataset


MIN_DEFAULT_EPOCHS, MAX_DEFAULT_EPOCHS, IMAGES_PER_TRIAL = 10, 30, 400_000
DEFAULT_FOLDS, MAX_FOLD_IMAGES = 5, 5000
DEFAULT_BATCH_SIZE: Any = Space.__dataclass_fields__["batch_size"].default


def with_data_defaults(space: Space, images: int) -> Space:
    """Return the space with epochs and a batch size that suit the training images, where the user has set none.

    Raises:
        SpaceError: A batch size that the user chose is larger than the data.
    """
    changes: dict[str, Any] = {}
    if space.epochs is None:
        changes["epochs"] = min(MAX_DEFAULT_EPOCHS, max(MIN_DEFAULT_EPOCHS, IMAGES_PER_TRIAL // images))
    batch_size: Any = space.batch_size
    if batch_size == DEFAULT_BATCH_SIZE:
        sizes = [size for size in batch_size.options if size <= images] or [min(16, images)]
        changes["batch_size"] = Choice(*sizes, default=min(batch_size.default, sizes[-1]))
    elif isinstance(space.model, KerasTunerModel) and batch_size == HYPERMODEL_DEFAULTS["batch_size"]:
        changes["batch_size"] = min(batch_size, images)
    elif not has_linear_head(space.backbone) and (size := max_value(batch_size)) > images:
        raise SpaceError(f"batch_size: {size} is larger than the {images} training images\nhint: use at most {images}")
    return dataclasses.replace(space, **changes)


def with_default_folds(space: Space, dataset: "Dataset") -> Space:
    """Return the space with cross-validation if all its heads are `Linear` and the user has chosen no validation.

    Folds tell such heads apart better than one split, and cost little; with more images than `MAX_FOLD_IMAGES` one
    split is as good.
    """
    images = len(dataset.train) + len(dataset.validation)
    is_chosen = space.folds is not None or dataset.has_own_validation
    if is_chosen or images > MAX_FOLD_IMAGES or not has_linear_head(space.backbone):
        return space
    folds = min(DEFAULT_FOLDS, fewest_images(dataset))
    return dataclasses.replace(space, folds=folds) if folds > 1 else space


def precision_of_file(space: Space) -> tuple[Any, tuple[str, ...]]:
    """Return the space's precision, or the global policy that its file has set in Keras, which is reset; with notices.

    Keras forgets a global policy after a trial, so it counts as a field of the space.

    Raises:
        ModelError: A space cannot have this policy.
    """
    keras = sys.modules.get("keras")
    policy = "float32" if keras is None else str(keras.config.dtype_policy().name)
    if keras is None or policy == "float32":
        return space.precision, ()
    if policy not in PRECISIONS:
        raise ModelError(
            f"the space file sets Keras' global dtype policy to {policy}, which is not supported\n"
            f"hint: remove it, and use Space(precision=...) with {', '.join(PRECISIONS[:-1])} or {PRECISIONS[-1]}"
        )
    keras.config.set_dtype_policy("float32")
    if space.precision not in ("float32", policy):
        return space.precision, (f"Keras' global policy {policy} has no effect: Space(precision=...) overrides it.",)
    return policy, (f"The space file sets Keras' global policy {policy}: used as Space(precision={policy!r}).",)


def check_weights(space: Space, folder: Path) -> None:
    """Raise if a weights file of the space is missing.

    Raises:
        ModelError: A weights file is missing.
    """
    for record in records_in(space):
        if isinstance(record, Pretrained):
            every = record.weights.options if isinstance(record.weights, Choice) else (record.weights,)
            for weights in (file for each in every for file in (each if isinstance(each, tuple) else (each,))):
                if weights not in (None, "imagenet"):
                    weights_path(dataclasses.replace(record, weights=weights), folder)


def check_fine_tuning(space: Space) -> None:
    """Raise if there is a second phase, but no backbone to fine-tune.

    Raises:
        SpaceError: No backbone of the space is `Pretrained`.
    """
    is_wanted = any(isinstance(record, FineTune) for record in records_in(space.fine_tune))
    if is_wanted and not any(isinstance(record, Pretrained) for record in records_in(space.backbone)):
        raise SpaceError(
            "fine_tune: only a Pretrained(...) backbone can be fine-tuned\nhint: use one, or remove fine_tune"
        )


def check_metric(metric: str, dataset: "Dataset") -> None:
    """Raise if the metric cannot tell models apart on these images.

    Raises:
        DataError: The metric would be the same for every model.
    """
    fewest = MIN_CLASSES.get(metric.removeprefix("val_"), 2)
    if len(dataset.classes) < fewest:
        raise DataError(
            f"metric: {metric} needs at least {fewest} classes, got {len(dataset.classes)}\nhint: use val_accuracy"
        )
    if metric == "val_auc" and len(set(dataset.validation.labels.tolist())) < 2:
        raise DataError(
            "metric: val_auc needs validation images of at least two classes\nhint: use a larger validation split"
        )


def check_hypermodel(space: Space, *, exports: bool) -> list[str]:
    """Raise if the space has a hypermodel that cannot be searched or exported; returns notices, one sentence each.

    Raises:
        ModelError: The hypermodel cannot be searched or exported.
    """
    if not isinstance(space.model, KerasTunerModel):
        return []
    # Keras and KerasTuner are imported only where they are needed.
    require_backend()
    from studies.keras_tuner.suggest import check_hypermodel as check

    return check(space, exports=exports)


def notices_of_code(space: Space) -> list[str]:
    """Return notices about code in the space whose changes cannot be detected."""
    if unknown := untraced(space):
        what = ", ".join(unknown)
        return [f"Changes in {what} cannot be detected. After a change, start a new study with --study NEWNAME."]
    return []
