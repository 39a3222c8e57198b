"""What a space or a study may name is what the code behind it knows, no more and no less."""

from dataclasses import fields

import pytest

from spaces import backbones, data, training
from spaces.errors import DataError, ModelError, SpaceError
from spaces.keras_tuner import KerasTunerModel
from spaces.registry import look_up
from studies import settings
from studies.data.sources import SOURCES
from studies.export.formats import FORMATS
from studies.export.study_files import EXPORT_FILES
from studies.models.augmentation import LAYERS, augmentation_layers
from studies.models.build import NETWORKS
from studies.training.compile import OPTIMIZERS, SCHEDULES
from studies.training.scores import MIN_CLASSES, SCORES
from studies.trials.pruners import PRUNERS, make_pruner
from studies.trials.samplers import SAMPLERS, make_sampler


@pytest.mark.parametrize(
    ("implemented", "accepted"),
    [
        (SAMPLERS, settings.SAMPLERS),
        (PRUNERS, settings.PRUNERS),
        (OPTIMIZERS, training.OPTIMIZERS),
        (SCHEDULES, training.SCHEDULES),
        (SOURCES, data.DATA),
        # A hypermodel has a training of its own.
        (NETWORKS, {*backbones.BACKBONES, *backbones.MODELS} - {KerasTunerModel}),
        (LAYERS, {field.name for field in fields(training.Augment)} - {"cached_views"}),
        ({f"val_{name}" for name in SCORES}, training.METRICS),
    ],
    ids=["samplers", "pruners", "optimizers", "schedules", "sources", "networks", "augmentations", "metrics"],
)
def test_accepted_names_are_implemented(implemented, accepted):
    """A name in only one of the two places would fail in the first trial, or could never be used."""
    assert set(implemented) == set(accepted)


def test_every_format_is_deleted_with_its_study():
    """A file that is not known to be part of an export would be left behind."""
    assert {form.file for form in FORMATS.values()} <= EXPORT_FILES
    assert next(iter(FORMATS)) == "keras", "the format without which there is no export comes first"


def test_minimum_classes_belong_to_scores():
    """A score with another name would be given however few classes there are."""
    assert set(MIN_CLASSES) <= set(SCORES)


@pytest.mark.parametrize("make", [make_sampler, make_pruner])
def test_unknown_names_are_errors(make):
    """No other sampler or pruner takes its place."""
    with pytest.raises(SpaceError, match=r"got 'tpee', expected one of .*, "):
        make("tpee", 9)


@pytest.mark.parametrize(
    ("table", "error"),
    [(OPTIMIZERS, SpaceError), (SCHEDULES, SpaceError), (SOURCES, DataError), (NETWORKS, ModelError)],
)
def test_unknown_records_are_errors(table, error):
    """The error names the record and the known ones."""
    with pytest.raises(error, match=f"part: got 'Augment', expected one of .*{list(table)[-1].__name__}"):
        look_up(table, training.Augment, "part", error)


def test_every_field_of_augment_makes_a_layer():
    """Each has its own name and seed."""
    layers = augmentation_layers(training.Augment(**{name: "both" if name == "flip" else 0.1 for name in LAYERS}), 0)
    assert {layer.name for layer in layers} == {f"augment_{name}" for name in LAYERS}
    assert len({layer.seed for layer in layers}) == len(layers)
