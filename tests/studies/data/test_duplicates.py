"""Equal pictures and pictures that look alike: what is found, and what becomes of them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from spaces import ImageFolder
from spaces.errors import DataError
from studies.data import decode_to_cache
from studies.data.arrays import dataset_from_arrays
from studies.data.dataset import Dataset
from studies.data.duplicates import Duplicates, SplitOverlap, hash_images
from studies.data.sources import load
from tests.support.images import picture, write_classes, write_image


def scene(seed: int, side: int = 64) -> Image.Image:
    """A picture with large shapes, as photographs have them."""
    return Image.fromarray(picture(seed, 7, 7)).resize((side, side), Image.Resampling.BICUBIC)


def loaded(folder: Path, **settings: object) -> Dataset:
    return load(ImageFolder(str(folder), **settings), Path("/nowhere"))


def bytes_of(split) -> list[bytes]:
    return [image.tobytes() for image in split.images]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Train, validation and test, in each six different pictures of two classes."""
    for seed, part in enumerate(("train", "val", "test")):
        write_classes(tmp_path / part, {"a": 6, "b": 6}, seed=seed)
    return tmp_path


def copy(folder: Path, source: str, target: str) -> None:
    (folder / target).write_bytes((folder / source).read_bytes())


def test_equal_pictures_are_left_out_of_test_and_validation(photos):
    """Train keeps its pictures, the test part those that are in validation too."""
    copy(photos, "train/a/a_0000.png", "test/a/x.png")
    copy(photos, "train/a/a_0001.png", "val/b/y.png")
    copy(photos, "test/a/a_0002.png", "val/a/z.png")
    data = loaded(photos)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [12, 12, 12]
    pairs = {(pair.split, pair.other): pair for pair in data.duplicates.pairs}
    assert {key: pair.duplicates for key, pair in pairs.items()} == {
        ("test", "train"): 1,
        ("validation", "train"): 1,
        ("validation", "test"): 1,
    }
    assert pairs["test", "train"].examples == ((f"{photos}/test/a/x.png", f"{photos}/train/a/a_0000.png"),)
    assert data.duplicates.removed("validation") == 2


def test_the_second_load_remembers_and_decodes_nothing(photos, monkeypatch):
    """What was left out is known again from the cache, also for a copy of the folder elsewhere."""
    copy(photos, "train/a/a_0000.png", "test/a/x.png")
    first = loaded(photos)
    monkeypatch.setattr(decode_to_cache, "decode_files", None)
    second = loaded(photos)
    assert second.duplicates == first.duplicates
    assert bytes_of(second.test) == bytes_of(first.test)


def test_the_same_picture_in_another_file_format_is_equal(photos):
    """Pixels are compared, not files."""
    Image.open(photos / "train/a/a_0000.png").save(photos / "test/a/x.bmp")
    assert loaded(photos).duplicates.removed("test") == 1


def test_only_the_equal_pictures_change_the_test_part(photos):
    """All others stay where they were."""
    before = set(bytes_of(loaded(photos).test))
    copy(photos, "train/b/b_0000.png", "test/b/b_0000.png")
    after = set(bytes_of(loaded(photos).test))
    assert after < before
    assert len(before - after) == 1


def test_a_class_that_loses_all_its_images_is_an_error(photos):
    """The part, the class and the reason are named."""
    for k in range(6):
        copy(photos, f"train/a/a_{k:04d}.png", f"test/a/a_{k:04d}.png")
    with pytest.raises(DataError, match=r"duplicates\): no images of class 'a'"):
        loaded(photos)


def test_where_we_split_equal_pictures_stay_on_one_side(tmp_path):
    """Nothing is lost, no picture is in two splits, and every class is in each."""
    write_classes(tmp_path, {"a": 30, "b": 30})
    for k in range(20):
        copy(tmp_path, f"a/a_{k:04d}.png", f"a/again_{k:04d}.png")
        copy(tmp_path, f"a/a_{k:04d}.png", f"b/other_{k:04d}.png")
    data = loaded(tmp_path)
    train, validation, test = (set(bytes_of(split)) for split in (data.train, data.validation, data.test))
    assert not train & validation | train & test | validation & test
    assert len(data.train) + len(data.validation) + len(data.test) == 100
    assert len(train | validation | test) == 60
    assert data.duplicates == Duplicates()


def test_classes_of_equal_pictures_alone_cannot_be_split(tmp_path):
    """Three copies of one picture are one image."""
    write_classes(tmp_path, {"a": 10, "b": 1})
    for k in range(1, 4):
        copy(tmp_path, "b/b_0000.png", f"b/{k}.png")
    with pytest.raises(DataError, match=r"needs at least 3 images .* but 'b' has 1"):
        loaded(tmp_path)


def test_arrays_are_compared_too():
    """The examples name the arrays and their rows."""
    train, test = (np.random.default_rng(seed).integers(0, 256, (20, 8, 8, 3), np.uint8) for seed in range(2))
    test[3] = train[5]
    labels = np.tile([0, 1], 10)
    data = dataset_from_arrays({"train": (train, labels), "test": (test, labels)}, "x", validation=0.2, test=None)
    assert len(data.test) == 19
    assert data.duplicates.pairs == (SplitOverlap("test", "train", 1, 0, (("test[3]", "train[5]"),)),)


@pytest.mark.parametrize("way", ["recompressed", "brighter", "smaller"])
def test_pictures_that_look_alike_are_counted_and_kept(tmp_path, way):
    """Saved again, brightened or scaled, a picture is found by its difference hash."""
    for seed, part in enumerate(("train", "test")):
        for name in "ab":
            for k in range(5):
                (tmp_path / part / name).mkdir(parents=True, exist_ok=True)
                scene(1000 * seed + 100 * ord(name) + k).save(tmp_path / part / name / f"{k}.png")
    original = scene(100 * ord("a"))
    if way == "recompressed":
        original.save(tmp_path / "test/a/copy.jpg", quality=90)
    else:
        changed = ImageEnhance.Brightness(original).enhance(0.8) if way == "brighter" else original.resize((48, 48))
        changed.save(tmp_path / "test/a/copy.png")
    data = loaded(tmp_path, image_size=64)
    [pair] = [pair for pair in data.duplicates.pairs if pair.split == "test"]
    assert (pair.duplicates, pair.near_duplicates) == (0, 1)
    assert Path(pair.examples[0][0]).stem == "copy"
    assert len(data.test) == 11


def test_flat_pictures_look_like_nothing():
    """One colour, a slope and a picture with a single edge have no difference hash."""
    slope = np.broadcast_to(np.arange(32, dtype=np.uint8) * 7, (32, 32))
    edge = np.zeros((32, 32), np.uint8)
    edge[:, 16:] = 255
    flat = np.stack([np.full((32, 32), 130, np.uint8), slope, slope[:, ::-1], edge])[..., np.newaxis]
    assert not hash_images(flat).perceptual.any()
    assert hash_images(np.asarray(scene(1))[np.newaxis]).perceptual.all()


def test_prints_do_not_depend_on_the_blocks(monkeypatch):
    """Each image has a hash of its own pixels, however many are hashed at once."""
    images = np.stack([np.asarray(scene(seed, 16)) for seed in range(9)])
    whole = hash_images(images)
    monkeypatch.setattr("studies.data.duplicates._BLOCK_BYTES", 1)
    single = hash_images(images)
    assert np.array_equal(whole.exact, single.exact)
    assert np.array_equal(whole.perceptual, single.perceptual)
    assert len(np.unique(whole.exact)) == 9


def test_pairs_are_told_in_a_sentence():
    """Counts, verbs and what became of the images."""
    assert Duplicates((SplitOverlap("test", "train", 12, 40),)).notices() == (
        "test had 12 duplicates of train images, now left out, and 40 near-duplicates of train images, which are kept",
    )
    assert SplitOverlap("validation", "test", 0, 1).notice() == "validation has 1 near-duplicate of test images; kept"


def test_unreadable_files_and_equal_pictures_leave_a_stratified_rest(tmp_path, cache):
    """Both kinds of gaps are closed in one entry, in memory as on disk."""
    for seed, part in enumerate(("train", "test")):
        write_classes(tmp_path / part, {"a": 10, "b": 10}, seed=seed)
    (tmp_path / "train" / "a" / "broken.png").touch()
    copy(tmp_path, "train/a/a_0000.png", "test/b/x.png")
    write_image(tmp_path / "test" / "b" / "new.png", seed=99)
    cached = loaded(tmp_path)
    (tmp_path / "file").touch()
    in_memory = load(ImageFolder(str(tmp_path)), Path(), cache=tmp_path / "file")
    for part in ("train", "validation", "test"):
        assert bytes_of(getattr(cached, part)) == bytes_of(getattr(in_memory, part))
        assert getattr(cached, part).labels.tolist() == getattr(in_memory, part).labels.tolist()
    assert cached.duplicates == in_memory.duplicates
    assert len(cached.test) == 21
