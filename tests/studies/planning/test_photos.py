"""The plan for a folder of photos, and the pretrained networks that it uses."""

import pytest

from spaces import Choice, ImageFolder, Int, Linear, Pretrained, Space
from spaces.errors import DataError, ModelError
from spaces.open_space import is_open
from studies.planning import networks, photos
from studies.planning.networks import CPU_NETWORKS, GPU_NETWORKS, cost_of, find_networks
from studies.planning.photos import plan_photos
from studies.planning.step_time import passes_of
from tests.support.images import write_classes

BOTH = (CPU_NETWORKS[0], CPU_NETWORKS[1])


@pytest.fixture
def found(monkeypatch):
    """Return a function that sets the networks which are on this machine."""

    def use(*names, reason=""):
        monkeypatch.setattr(photos, "find_networks", lambda on_gpu, sizes: (names, reason))

    use(*BOTH)
    return use


def plan(folder, side=48, **fields):
    write_classes(folder / "photos", {"a": 3, "b": 4}, height=side, width=side + 10)
    return plan_photos(Space(data=ImageFolder("photos", **fields)), folder)


def test_plan_goes_from_the_fastest_network_upwards(tmp_path, found):
    """The baseline is the first network on small images; larger images, the second network and mirroring follow."""
    made = plan(tmp_path)
    head = Linear(views=Choice(None, "mirror"))
    first = Pretrained("MobileNetV2", alpha=0.35, head=head)
    both = Pretrained(["MobileNetV2", "MobileNet"], alpha=[0.35, 0.25], head=head)
    assert made.space.backbone == Choice(first, both)
    assert made.space.data == ImageFolder("photos", image_size=Choice(160, 224))
    assert made.reasons[0].startswith("7 images, 2 classes, ")
    assert made.reasons[0].endswith(": start with a frozen MobileNetV2")
    assert "images of 224 pixels, the features of MobileNet as well, mirrored images" in made.reasons[1]


def test_fields_that_are_set_stay(tmp_path, found):
    """The image size, the split and the metric are the user's."""
    found(BOTH[0])
    write_classes(tmp_path / "photos", {"a": 3, "b": 4}, height=48, width=48)
    data = ImageFolder("photos", image_size=96, validation=0.3, channels=1)
    made = plan_photos(Space(data=data, metric="val_f1", balance="class_weights"), tmp_path).space
    assert (made.data, made.metric, made.balance) == (data, "val_f1", "class_weights")
    assert isinstance(made.backbone, Pretrained)


@pytest.mark.parametrize("side", [16, 40])
def test_small_images_are_trained_from_scratch(tmp_path, found, side):
    """Images of at most 40 pixels keep the default networks, with the reason."""
    made = plan(tmp_path, side)
    assert is_open(made.space)
    assert f"images of {side} pixels are too small" in made.reasons[0]


@pytest.mark.parametrize("size", [32, (24, 200), Choice(32, 160), Int(32, 64)])
def test_declared_size_that_is_too_small_is_kept(tmp_path, found, size):
    """The user's image size decides, not that of the files."""
    made = plan(tmp_path, 48, image_size=size)
    assert is_open(made.space)
    assert made.space.data.image_size == size


@pytest.mark.parametrize(("limit", "strength"), [(20, None), (5, 30.0)])
def test_many_classes_get_one_strength_or_no_head(tmp_path, found, monkeypatch, limit, strength):
    """The time to solve a head grows with the photos and the classes."""
    monkeypatch.setattr(photos, "MAX_OUTPUTS_FOR_STRENGTHS", limit)
    found(BOTH[0])
    assert plan(tmp_path).space.backbone.head.strength == strength
    monkeypatch.setattr(photos, "MAX_OUTPUTS", 5)
    assert is_open(plan_photos(Space(data=ImageFolder("photos")), tmp_path).space)


def test_missing_weights_are_named_once_with_the_way_to_get_them(tmp_path, found):
    """Without weights the default networks are trained from scratch."""
    found(reason="no connection")
    made = plan(tmp_path)
    assert is_open(made.space)
    assert "no pretrained weights: no connection" in made.reasons[0]
    assert "search weights get" in made.reasons[1]


def test_folder_that_cannot_be_used_is_an_error(tmp_path, found):
    """A plan needs class folders."""
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError):
        plan_photos(Space(data=ImageFolder("photos")), tmp_path)


@pytest.mark.parametrize(
    ("here", "on_gpu", "expected"),
    [
        ((), False, CPU_NETWORKS[:1]),
        ((), True, GPU_NETWORKS[:1]),
        (CPU_NETWORKS[3:], False, CPU_NETWORKS[3:5]),
        (CPU_NETWORKS[1:2], True, CPU_NETWORKS[1:2]),
    ],
)
def test_networks_on_this_machine_come_before_a_download(monkeypatch, here, on_gpu, expected):
    """Up to two networks that are here are used; without any, the first one is downloaded."""
    records, downloaded = {network.record for network in here}, []
    monkeypatch.setattr(networks, "local_imagenet_file", lambda record, *_: record if record in records else None)
    monkeypatch.setattr(networks, "imagenet_file", lambda record, *_: downloaded.append(record))
    assert find_networks(on_gpu, (160, 224)) == (expected, "")
    assert downloaded == ([] if here else [expected[0].record] * 2)


def test_failed_download_is_the_reason(monkeypatch):
    """Without weights and without a connection there is no network, but a reason."""

    def fail(*_):
        raise ModelError("backbone: no ImageNet weights of MobileNetV2: no connection\nhint: set SEARCH_WEIGHTS")

    monkeypatch.setattr(networks, "local_imagenet_file", lambda *_: None)
    monkeypatch.setattr(networks, "imagenet_file", fail)
    assert find_networks(False, (160,)) == ((), "no ImageNet weights of MobileNetV2: no connection")


def test_cost_of_a_step_grows_with_pixels_networks_and_views():
    """A mirrored image is a second pass, and an unknown network counts as an expensive one."""
    data = ImageFolder("photos", image_size=100)
    mirrored = Pretrained(["MobileNetV2", "MobileNet"], alpha=[0.35, 0.25], head=Linear(views="mirror"))
    parts = passes_of(Space(data=data, backbone=mirrored))
    assert len(parts) == 4
    assert sum(parts.values()) == pytest.approx(2 * 100**2 * (CPU_NETWORKS[0].cost + CPU_NETWORKS[1].cost))
    assert cost_of("VGG16", None) == max(network.cost for network in GPU_NETWORKS)
