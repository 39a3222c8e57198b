"""Which folders are splits, which are classes, and which are ambiguous."""

from pathlib import Path

import pytest

from spaces.errors import DataError
from studies.data.folder_layout import find_layout
from studies.data.split_names import TEST, TRAIN, VALIDATION
from tests.support.image_folders import folder_error, load_folder, split_sizes
from tests.support.images import write_classes, write_image

PAIR = ("cat", "dog")


def within(*folders: str, classes: tuple[str, ...] = PAIR) -> list[str]:
    """Return the paths of class folders in each of the folders."""
    return [f"{folder}/{name}" for folder in folders for name in classes]


def write(root: Path, *folders: str, count: int = 4, classes: tuple[str, ...] = PAIR) -> Path:
    """Write class folders into each of the folders; no two images are alike."""
    return write_classes(root, dict.fromkeys(within(*folders, classes=classes), count))


SPLITS = [
    *[("training_set", "test_set"), ("Training", "Testing"), ("TRAIN", "TEST"), ("train_images", "test_images")],
    *[("images_train", "images_test"), ("seg_train", "seg_test"), ("training-data", "test-data"), ("train", "test1")],
    *[("TrainSet", "TestSet"), ("traindata", "testdata"), ("train", "hold-out"), ("train", "holdout")],
    *[("train", "eval"), ("x_train", "x_test"), ("Train", "testing"), ("train2017", "test2017"), ("mytrain", "mytest")],
    ("data/seg_train/seg_train", "data/seg_test/seg_test"),
]
CLASSES = [
    *[("bus", "car", "train"), ("invalid", "valid"), ("dev", "prod"), ("crash_test", "dog", "train_station")],
    *[("bullet_train", "steam_train"), ("crash_test", "train_station"), ("contest", "protest")],
    *[("interval", "latest", "strain"), ("value", "trainer"), ("cat/images", "dog/images")],
]


@pytest.mark.parametrize(
    ("folders", "roots"),
    [
        *[(within(*pair), dict(zip((TRAIN, TEST), pair, strict=True))) for pair in SPLITS],
        *[
            (within("train", name), {TRAIN: "train", VALIDATION: name})
            for name in ("val", "valid", "Validation", "dev", "val_set")
        ],
        (within("train", "eval", "test"), {TRAIN: "train", VALIDATION: "eval", TEST: "test"}),
        *[(classes, {TRAIN: "."}) for classes in CLASSES],
    ],
)
def test_names_decide_which_folders_are_splits(tmp_path, folders, roots):
    """Any case, prefix, suffix or compound counts; a class may have the word of a split in its name."""
    write_classes(tmp_path, dict.fromkeys(folders, 1))
    found = find_layout(str(tmp_path)).roots
    assert {split: str(Path(root).relative_to(tmp_path)) for split, root in found.items()} == roots


@pytest.mark.parametrize("wrapper", ["PetImages", "archive/PetImages", "PetImages/PetImages", "train/train"])
@pytest.mark.parametrize("stray", [None, ".", "wrapper"])
def test_a_wrapper_is_entered_with_a_notice(tmp_path, wrapper, stray):
    """A folder alone with other files or a stray image, which is reported, is not a class."""
    write(tmp_path, wrapper)
    (tmp_path / "readme.txt").touch()
    write_image(tmp_path / "__MACOSX" / "cat" / "a.png")
    if stray:
        image = write_image(tmp_path / (wrapper if stray == "wrapper" else stray) / "logo.png", seed=10**6)
    data = load_folder(tmp_path)
    assert data.classes == PAIR
    assert any(str(tmp_path / wrapper) in notice for notice in data.notices)
    if stray == "wrapper":
        assert [skipped.path for skipped in data.skipped] == [str(image)]
    assert (f"not used, directly in {tmp_path}: 1 image" in data.notices) == (stray == ".")


@pytest.mark.parametrize("where", ["train", "test", "."])
def test_a_stray_file_next_to_classes_or_splits_is_reported(tmp_path, where):
    """It belongs to no class."""
    write(tmp_path, "train", "test")
    stray = write_image(tmp_path / where / "stray.jpg", seed=10**6)
    for name in (".DS_Store", "Thumbs.db", "labels.csv", "README", "LICENSE"):
        (tmp_path / where / name).touch()
    data = load_folder(tmp_path)
    assert (data.classes, len(data.test)) == (PAIR, 8)
    assert [skipped.path for skipped in data.skipped] == ([] if where == "." else [str(stray)])
    assert (f"not used, directly in {tmp_path}: 1 image" in data.notices) == (where == ".")


AMBIGUOUS = [
    *[("cat", "dog", "test"), ("cat", "dog", "val"), ("cat", "dog", "train_images"), ("train", "test", "dog")],
    ("cat", "dog", *within("test")),
    ("bus", "car", "train/steam", "train/electric"),
    *[within("test", "val"), within("train1", "train2"), within("train", "test1", "test2")],
    ("cells/sick", "cells/healthy", "sick", "healthy"),
]
UNLABELLED = [
    *[("train", "test"), ("train", "valid", "test"), ("Training", "Testing"), ("trainA", "testA", "trainB")],
    *[("train_a", "test_b"), ("01_train", "02_test"), ("cats_train", "cats_test"), ("mytrain", "mytest")],
    ("datatraining", "datatesting"),
]
SAME_INSIDE = [
    *[("fold0", "fold1", "fold2"), ("2019", "2020"), ("entrenamiento", "prueba"), ("site a", "site b")],
]


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        *[(folders, "ImageFolder(train=FOLDER, test=FOLDER)") for folders in AMBIGUOUS],
        *[(folders, "the training folder has no class folders") for folders in UNLABELLED],
        *[(within(*folders), "have the same sub-folders ('cat', 'dog')") for folders in SAME_INSIDE],
        (within(*PAIR, classes=("test", "train")), "have the same sub-folders ('test', 'train')"),
    ],
)
def test_ambiguous_folders_are_rejected(tmp_path, folders, expected):
    """Folds, years, copies and splits in any language are not classes; the hint says how to choose."""
    write_classes(tmp_path, dict.fromkeys(folders, 1))
    with pytest.raises(DataError) as caught:
        find_layout(str(tmp_path))
    assert expected in str(caught.value)
    assert f"ImageFolder({str(tmp_path)!r}, classes=(" in str(caught.value)


def test_folders_next_to_the_wrapper_may_hide_it(tmp_path):
    """A folder of other files is no class; an empty one may be a class whose images are missing."""
    write(tmp_path, "images")
    (tmp_path / "annotations").mkdir()
    assert "no images of" in folder_error(tmp_path)
    (tmp_path / "annotations" / "list.txt").touch()
    assert load_folder(tmp_path).classes == PAIR


def test_subfolders_of_classes_and_unused_folders_are_reported(tmp_path):
    """Images in sub-folders count as images of the class; images to predict are not part of the data set."""
    write_classes(tmp_path / "a", {"animals/lion": 1, "animals/zebra": 1, "plants/rose": 1})
    found = find_layout(str(tmp_path / "a"))
    assert list(found.roots.values()) == [str(tmp_path / "a")]
    assert "'animals' ('lion', 'zebra'), 'plants' ('rose')" in found.notices[0]
    write(tmp_path / "b", "seg_train", "seg_test")
    write_image(tmp_path / "b" / "seg_pred" / "a.png")
    assert any("'seg_pred'" in notice for notice in find_layout(str(tmp_path / "b")).notices)


@pytest.mark.parametrize("images", ["test", "test/unknown", "test/test"])
@pytest.mark.parametrize("inside", [True, False])
def test_a_test_folder_without_labels_is_reported_and_not_used(tmp_path, images, inside):
    """A fraction of 20% is split off instead, whether the user passed the whole folder or `train`."""
    write(tmp_path, "train", count=10)
    for k in range(3):
        write_image(tmp_path / images / f"{k}.png", seed=10**6 + k)
    data = load_folder(tmp_path if inside else tmp_path / "train")
    assert (data.classes, len(data.test)) == (PAIR, 4)
    assert any("not used as test images: 'test'" in notice for notice in data.notices)


@pytest.mark.parametrize("inside", [True, False])
def test_a_fraction_of_test_images_ignores_test_folders(tmp_path, inside):
    """`test=0.3` never uses a folder."""
    write(tmp_path, "train", "test", count=10)
    sizes = split_sizes(load_folder(tmp_path if inside else tmp_path / "train", test=0.3))
    assert (sum(sizes), sizes[2]) == (20, 6)


def test_named_folders_and_classes_are_used_as_they_are(tmp_path):
    """`test` and `classes` say that folders named like splits are classes."""
    write(tmp_path, "a", "b", classes=("bus", "test", "train"))
    assert load_folder(tmp_path / "a", test=str(tmp_path / "b")).classes == ("bus", "test", "train")
    assert load_folder(tmp_path / "a", classes=["test", "bus"]).classes == ("bus", "test")
    assert "has no folder 'x'" in folder_error(tmp_path / "a", classes=("bus", "x"))


def test_a_named_folder_must_be_another_one_with_labels(tmp_path):
    """The hint names the option that holds out images instead; training images may not judge the model."""
    folder = write(tmp_path, "train") / "train"
    write_image(tmp_path / "test" / "a.png")
    assert "test=0.2 (--test 0.2)" in folder_error(folder, test=str(tmp_path / "test"))
    for split in ("test", "validation"):
        assert f"{split} and train use the same folder" in folder_error(folder, **{split: str(folder)})


def test_a_test_folder_next_to_train_is_used(tmp_path):
    """`train` passed by itself finds its `test`; a folder of another name does not."""
    write(tmp_path, "train", count=10)
    write_classes(tmp_path / "test", {"cat": 2, "dog": 3}, seed=1)
    assert load_folder(tmp_path / "train").test.counts(PAIR) == {"cat": 2, "dog": 3}
    (tmp_path / "train").rename(tmp_path / "photos")
    assert len(load_folder(tmp_path / "photos").test) == 4


@pytest.mark.parametrize("name", ["validation", "val", "Valid"])
def test_folder_means_the_validation_folder_next_to_train(tmp_path, name):
    """`validation="folder"` uses it, inside a split folder and next to `train`; without it the folder is required."""
    for seed, split in enumerate(("train", name, "test")):
        write_classes(tmp_path / split, {"a": 3 + seed, "b": 3}, seed=seed)
    for folder in (tmp_path, tmp_path / "train"):
        assert len(load_folder(folder, validation="folder").validation) == 7
    assert len(load_folder(tmp_path / "train").validation) < 7
    (tmp_path / name).rename(tmp_path / "others")
    assert "expects validation/, val/ or valid/" in folder_error(tmp_path / "train", validation="folder")
