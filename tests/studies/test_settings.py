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
def test_duration_accepts_numbers_and_units(text, expected):
    """A duration is a number of seconds, or numbers with units."""
    assert seconds(text) == expected


WRONG_DURATIONS = ["", "soon", "-5m", "0", "5 parsecs", "1.", True, float("nan"), float("inf")]
LONG = [10**400, -(10**400), "9" * 400, "1" * 100_000 + "x", "1 " * 50_000 + "x", "1.1" * 30_000]


@pytest.mark.parametrize("text", [*WRONG_DURATIONS, *LONG, "100001d"])
def test_invalid_duration_is_refused(text):
    """A timeout is positive, bounded and has known units; long text is read in linear time and shown in part."""
    with pytest.raises(SpaceError, match="timeout") as caught:
        seconds(text)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("trials", value) for value in (0, 2.5, 2**31, True)),
        *((name, 0) for name in ("workers", "workers_per_gpu", "trials_per_process")),
        *(("seed", -1), ("retries", -1), ("sampler", "bayes"), ("pruner", "x"), ("name", "a/b")),
        *(("devices", "gpu"), ("gpu_memory", "much"), ("max_worker_memory", 4)),
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


@pytest.mark.parametrize(
    ("name", "is_valid"),
    [
        *((name, True) for name in ("digits", "été-2", "a.b_c", "写真")),
        *((name, False) for name in ("", ".", "..", "a b", "a/b", "-x", "a\n", "x" * 101)),
    ],
)
def test_name_is_a_folder_name(name, is_valid):
    """A name consists of letters of any script, digits, '-', '_' and '.'."""
    assert valid_name(name) is is_valid


@pytest.mark.parametrize(
    ("text", "expected"),
    [("8GiB", 8 * 2**30), ("8G", 8 * 10**9), ("1.5 gib", 3 * 2**29), ("500MB", 5 * 10**8), (2**21, 2**21)],
)
def test_memory_size_accepts_bytes_and_units(text, expected):
    """A size is a number of bytes, or one with a unit."""
    assert memory_bytes("gpu_memory", text) == expected
    assert Study(gpu_memory=text).gpu_memory == expected


@pytest.mark.parametrize("text", ["", "8 apples", "-1GiB", "100", "9" * 400, True])
def test_invalid_memory_size_is_refused(text):
    """A size has a known unit and is at least one MiB; the field is named."""
    with pytest.raises(SpaceError, match="worker_memory"):
        memory_bytes("worker_memory", text)


@pytest.mark.parametrize(
    ("devices", "valid"),
    [*((each, True) for each in ("auto", "cpu", "0", "0, 12", "GPU-1a2b,MIG-3")), ("0,,1", False), ("", False)],
)
def test_devices_are_numbers_or_identifiers(devices, valid):
    """GPUs are selected by number or by NVIDIA identifier."""
    assert valid_devices(devices) is valid


@pytest.mark.parametrize(("settings", "supervised"), [({}, False), ({"workers": 1}, True), ({"devices": "cpu"}, True)])
def test_workers_or_devices_require_a_supervisor(settings, supervised):
    """Without both, the search runs in the process of the command."""
    assert Study(**settings).is_supervised is supervised


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        *((wrong, r"did you mean trials\?") for wrong in ("trial", "n_trials")),
        *(("samplr", r"did you mean sampler\?"), ("time_out", r"did you mean timeout\?")),
        ("colour", "the fields are trials, timeout"),
    ],
)
def test_unknown_field_suggests_the_nearest_one(wrong, hint):
    """A misspelled field is no TypeError; if no field is similar, the hint lists them all."""
    with pytest.raises(SpaceError, match=rf"Study\({wrong}=...\): no such field\nhint: {hint}"):
        Study(**{wrong: 5})
