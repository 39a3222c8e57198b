"""The settings of a study."""

from dataclasses import replace

import pytest

from spaces.errors import SpaceError
from studies import Study
from studies.settings import valid_devices, valid_name
from studies.units import memory_bytes, seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90), (90, 90), ("90s", 90), ("30m", 1800), ("1h30m", 5400), ("1.5 h", 5400), ("1d", 86400)],
)
def test_durations_are_read_as_people_write_them(text, expected):
    """A duration is a number with units, which may be strung together."""
    assert seconds(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "-5m",
        "0",
        "5 parsecs",
        "1.",
        True,
        float("nan"),
        float("inf"),
        10**400,
        -(10**400),
        "9" * 400,
        "100001d",
    ],
)
def test_what_is_no_duration_is_refused(text):
    """A timeout is longer than 0, ends within centuries and has known units."""
    with pytest.raises(SpaceError, match="timeout"):
        seconds(text)


@pytest.mark.parametrize("text", ["1" * 100_000 + "x", "1 " * 50_000 + "x", "1.1" * 30_000])
def test_a_long_wrong_duration_is_refused_at_once(text):
    """Reading it takes time in proportion to its length; the message shows its beginning."""
    with pytest.raises(SpaceError, match="timeout") as caught:
        seconds(text)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("trials", 0),
        ("trials", 2.5),
        ("trials", 2**31),
        ("trials", True),
        ("sampler", "bayes"),
        ("pruner", "x"),
        ("seed", -1),
        ("retries", -1),
        ("name", "a/b"),
        ("workers", 0),
        ("workers_per_gpu", 0),
        ("trials_per_process", 0),
        ("devices", "gpu"),
        ("gpu_memory", "much"),
        ("max_worker_memory", 4),
    ],
)
def test_errors_name_the_field_and_its_value(field, value):
    """Every field is checked when the record is made."""
    with pytest.raises(SpaceError, match=f"^{field}: got {value!r}, expected "):
        Study(**{field: value})


def test_earlier_field_names_still_work():
    """A space file of an earlier release is read as before."""
    study = Study(per_gpu=2, worker_memory="6GiB")
    assert study == Study(workers_per_gpu=2, max_worker_memory="6GiB")
    assert replace(study, workers_per_gpu=3).workers_per_gpu == 3


@pytest.mark.parametrize("name", ["digits", "été-2", "a.b_c", "写真"])
def test_names_may_be_in_any_language(name):
    """A study's name is made of letters, digits, '-', '_' and '.'."""
    assert valid_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "a/b", "-x", "a\n", "x" * 101])
def test_names_that_are_no_folder_are_refused(name):
    """A study's name is also a folder's."""
    assert not valid_name(name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("8GiB", 8 * 2**30), ("8G", 8 * 10**9), ("1.5 gib", 3 * 2**29), ("500MB", 5 * 10**8), (2**21, 2**21)],
)
def test_sizes_are_read_as_people_write_them(text, expected):
    """A size is a number of bytes, or one with a unit."""
    assert memory_bytes("gpu_memory", text) == expected
    assert Study(gpu_memory=text).gpu_memory == expected


@pytest.mark.parametrize("text", ["", "8 apples", "-1GiB", "100", "9" * 400, True])
def test_what_is_no_size_is_refused(text):
    """A size has a known unit and is at least one MiB; the field is named."""
    with pytest.raises(SpaceError, match="worker_memory"):
        memory_bytes("worker_memory", text)


@pytest.mark.parametrize(
    ("devices", "valid"),
    [
        ("auto", True),
        ("cpu", True),
        ("0", True),
        ("0, 12", True),
        ("GPU-1a2b,MIG-3", True),
        ("0,,1", False),
        ("", False),
    ],
)
def test_devices_are_named_or_counted(devices, valid):
    """GPUs go by number or by NVIDIA's own identifiers."""
    assert valid_devices(devices) is valid


@pytest.mark.parametrize(("settings", "supervised"), [({}, False), ({"workers": 1}, True), ({"devices": "cpu"}, True)])
def test_workers_or_devices_mean_processes_of_their_own(settings, supervised):
    """Without both, the search runs in the process that was typed."""
    assert Study(**settings).is_supervised is supervised


@pytest.mark.parametrize(
    ("wrong", "meant"), [("trial", "trials"), ("n_trials", "trials"), ("samplr", "sampler"), ("time_out", "timeout")]
)
def test_the_nearest_field_is_suggested_for_an_unknown_one(wrong, meant):
    """A name that is slightly wrong is no TypeError."""
    with pytest.raises(SpaceError, match=rf"Study\({wrong}=...\): no such field\nhint: did you mean {meant}\?"):
        Study(**{wrong: 5})


def test_an_unknown_field_without_a_near_name_is_told_with_all_fields():
    """Whoever reads it sees what there is."""
    with pytest.raises(SpaceError, match=r"Study\(colour=...\): no such field\nhint: the fields are trials, timeout"):
        Study(colour=5)
