"""Which folders are taken as splits, which as classes, and which are refused because they can be read in two ways."""

import os
from pathlib import Path

import pytest

from spaces import ImageFolder
from spaces.errors import DataError
from studies.data.dataset import Dataset
from studies.data.folder_layout import find_layout
from studies.data.sources import load
from studies.data.split_names import TEST, TRAIN, VALIDATION
from tests.support.images import write_classes, write_image

PAIR = ("cat", "dog")


def write(root: Path, *folders: str, count: int = 4, classes: tuple[str, ...] = PAIR) -> Path:
    """Write class folders into each of some folders; no two images are alike."""
    for seed, folder in enumerate(folders):
        write_classes(root / folder, dict.fromkeys(classes, count), seed=seed)
    return root


def loaded(folder: Path, **settings: object) -> Dataset:
    return load(ImageFolder(str(folder), **settings), Path("/nowhere"))


def message(folder: Path, **settings: object) -> str:
    with pytest.raises(DataError) as caught:
        loaded(folder, **settings)
    return str(caught.value)


def roots(folder: Path) -> dict[int, str]:
    """The roots of the splits, relative to the folder."""
    return {part: str(Path(root).relative_to(folder)) for part, root in find_layout(str(folder)).roots.items()}


@pytest.mark.parametrize(
    ("train", "test"),
    [
        *[("training_set", "test_set"), ("Training", "Testing"), ("TRAIN", "TEST"), ("train_images", "test_images")],
        *[("images_train", "images_test"), ("seg_train", "seg_test"), ("training-data", "test-data")],
        *[("TrainSet", "TestSet"), ("traindata", "testdata"), ("train", "test1"), ("train", "hold-out")],
        *[
            ("train", "holdout"),
            ("train", "eval"),
            ("x_train", "x_test"),
            ("Train", "testing"),
            ("train2017", "test2017"),
            ("mytrain", "mytest"),
        ],
    ],
)
def test_the_usual_names_of_splits_are_known(tmp_path, train, test):
    """Any case, with a prefix or a suffix, or glued to a word such as set."""
    write(tmp_path, train, test)
    assert roots(tmp_path) == {TRAIN: train, TEST: test}
    data = loaded(tmp_path)
    assert data.classes == PAIR
    assert len(data.test) == 8


@pytest.mark.parametrize("name", ["val", "valid", "Validation", "dev", "val_set"])
def test_the_usual_names_of_validation_folders_are_known(tmp_path, name):
    """`train` and a validation folder alone: the test images are split off the training images."""
    write(tmp_path, "train", name)
    data = loaded(tmp_path)
    assert (len(data.train), len(data.validation), len(data.test)) == (6, 8, 2)


def test_eval_is_validation_next_to_a_test_folder(tmp_path):
    """Next to `train` alone it holds the test images."""
    write(tmp_path, "train", "eval", "test")
    assert roots(tmp_path) == {TRAIN: "train", VALIDATION: "eval", TEST: "test"}


@pytest.mark.parametrize("where", ["train", "test", "."])
def test_a_stray_file_changes_nothing(tmp_path, where):
    """An image next to class folders or next to splits belongs to no class, and is reported."""
    write(tmp_path, "train", "test")
    stray = write_image(tmp_path / where / "stray.jpg", seed=10**6)
    for name in (".DS_Store", "Thumbs.db", "labels.csv", "README", "LICENSE"):
        (tmp_path / where / name).touch()
    data = loaded(tmp_path)
    assert data.classes == PAIR
    assert len(data.test) == 8
    assert [skipped.path for skipped in data.skipped] == ([] if where == "." else [str(stray)])
    assert (f"not used, directly in {tmp_path}: 1 image" in data.notices) == (where == ".")


def test_more_stray_images_than_classified_ones_are_refused(tmp_path):
    """Most of the data would be left out."""
    write(tmp_path, ".", count=2)
    for k in range(5):
        write_image(tmp_path / f"{k}.png", seed=10**6 + k)
    assert "5 images are directly in" in message(tmp_path)


@pytest.mark.parametrize(
    "folders",
    [
        *[("train", "test"), ("train", "valid", "test"), ("Training", "Testing"), ("trainA", "testA", "trainB")],
        *[("train_a", "test_b"), ("01_train", "02_test"), ("cats_train", "cats_test")],
        *[("mytrain", "mytest"), ("datatraining", "datatesting")],
    ],
)
def test_splits_without_class_folders_are_refused(tmp_path, folders):
    """Loose images in `train` and `test` are not two classes."""
    write(tmp_path, ".", classes=folders)
    found = message(tmp_path)
    assert "looks already split" in found
    assert "no class folders" in found
    assert f"ImageFolder({str(tmp_path)!r}, classes=(" in found


@pytest.mark.parametrize(
    "classes",
    [
        *[("bus", "car", "train"), ("invalid", "valid"), ("dev", "prod"), ("crash_test", "dog", "train_station")],
        *[("bullet_train", "steam_train"), ("crash_test", "train_station")],
    ],
)
def test_classes_may_have_words_of_splits_in_their_names(tmp_path, classes):
    """Images lie directly in them, as in the folders next to them."""
    assert loaded(write(tmp_path, ".", classes=classes)).classes == classes


@pytest.mark.parametrize(
    "folders",
    [
        {"cat": 4, "dog": 4, "test": 4},
        {"cat": 4, "dog": 4, "val": 4},
        {"cat": 4, "dog": 4, "train_images": 4},
        {"cat": 4, "dog": 4, "test/cat": 4, "test/dog": 4},
        {"bus": 4, "car": 4, "train/steam": 4, "train/electric": 4},
        {"test/cat": 4, "test/dog": 4, "val/cat": 4, "val/dog": 4},
        {"train": 4, "test": 4, "dog": 4},
        {"train1/cat": 4, "train1/dog": 4, "train2/cat": 4, "train2/dog": 4},
        {"train/cat": 4, "train/dog": 4, "test1/cat": 4, "test1/dog": 4, "test2/cat": 4, "test2/dog": 4},
        {"cells/sick": 4, "cells/healthy": 4, "sick": 4, "healthy": 4},
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(tmp_path, folders):
    """The message says how to write what is meant."""
    assert "ImageFolder(train=FOLDER, test=FOLDER)" in message(write_classes(tmp_path, folders))


@pytest.mark.parametrize(
    "parts", [("fold0", "fold1", "fold2"), ("2019", "2020"), ("entrenamiento", "prueba"), ("site a", "site b")]
)
def test_folders_that_all_hold_the_same_folders_are_no_classes(tmp_path, parts):
    """Folds, years, sources, and splits in any language are refused, also where one lacks a class."""
    write(tmp_path, *parts)
    assert "have the same sub-folders ('cat', 'dog')" in message(tmp_path)


def test_splits_inside_of_classes_are_refused(tmp_path):
    """cat/train and dog/train are the same sub-folders too."""
    write(tmp_path, "cat", "dog", classes=("test", "train"))
    assert "have the same sub-folders ('test', 'train')" in message(tmp_path)


def test_one_common_subfolder_is_part_of_its_class(tmp_path):
    """cat/images and dog/images hold the images of cat and dog."""
    write_classes(tmp_path, {"cat/images": 5, "dog/images": 5})
    assert loaded(tmp_path).classes == PAIR


@pytest.mark.parametrize("wrapper", ["PetImages", "archive/PetImages", "PetImages/PetImages", "train/train"])
def test_a_wrapper_is_entered_with_a_notice(tmp_path, wrapper):
    """A folder that is alone with files that are no images is no class."""
    write(tmp_path, wrapper)
    (tmp_path / "readme.txt").touch()
    write_image(tmp_path / "__MACOSX" / "cat" / "a.png")
    data = loaded(tmp_path)
    assert data.classes == PAIR
    assert any(str(tmp_path / wrapper) in notice for notice in data.notices)


@pytest.mark.parametrize("where", [".", "PetImages"])
def test_a_stray_image_does_not_hide_the_wrapper(tmp_path, where):
    """It is reported as unused."""
    write(tmp_path, "PetImages")
    stray = write_image(tmp_path / where / "logo.png", seed=10**6)
    data = loaded(tmp_path)
    assert data.classes == PAIR
    told = [*data.notices, *(skipped.path for skipped in data.skipped)]
    assert str(stray) in told or f"not used, directly in {tmp_path}: 1 image" in told


def test_split_folders_without_images_name_their_empty_classes(tmp_path):
    """They have class folders, but nothing in them."""
    for name in ("train/cat", "train/dog", "test/cat", "test/dog"):
        (tmp_path / name).mkdir(parents=True)
    assert "no images of 2 classes ('cat', 'dog')" in message(tmp_path)


@pytest.mark.parametrize("classes", [("contest", "protest"), ("interval", "latest", "strain"), ("value", "trainer")])
def test_words_that_contain_the_name_of_a_split_are_classes(tmp_path, classes):
    """Only names that are equal but for the split belong together."""
    assert set(loaded(write(tmp_path, ".", classes=classes)).classes) == set(classes)


def test_one_class_with_subfolders_is_no_wrapper(tmp_path):
    """Most of its images lie directly in it."""
    write_classes(tmp_path, {"cat": 9, "cat/more": 4})
    assert "only one class, 'cat'" in message(tmp_path)


def test_annotations_next_to_the_images_do_not_hide_the_wrapper(tmp_path):
    """A folder of other files is no class; an empty one may be a class whose images are missing."""
    write(tmp_path, "images")
    (tmp_path / "annotations").mkdir()
    assert "no images of" in message(tmp_path)
    (tmp_path / "annotations" / "list.txt").touch()
    assert loaded(tmp_path).classes == PAIR


def test_splits_are_unwrapped_too(tmp_path):
    """seg_train/seg_train/cat, with images to predict next to it, which are reported."""
    write(tmp_path, "data/seg_train/seg_train", "data/seg_test/seg_test")
    write_image(tmp_path / "data" / "seg_pred" / "seg_pred" / "a.png", seed=10**6)
    data = loaded(tmp_path)
    assert data.classes == PAIR
    assert len(data.test) == 8
    assert any("'seg_pred'" in notice for notice in data.notices)


@pytest.mark.parametrize("images", ["test", "test/unknown", "test/test"])
@pytest.mark.parametrize("within", [True, False])
def test_a_test_folder_without_labels_is_reported_and_not_used(tmp_path, images, within):
    """20% is split off instead, whether the folder was found inside of the data or next to `train`."""
    write(tmp_path, "train", count=10)
    for k in range(3):
        write_image(tmp_path / images / f"{k}.png", seed=10**6 + k)
    data = loaded(tmp_path if within else tmp_path / "train")
    assert (data.classes, len(data.test)) == (PAIR, 4)
    assert any("not used as test images: 'test'" in notice for notice in data.notices)


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("within", [True, False])
def test_a_share_of_test_images_is_split_off_whatever_lies_next_to_train(tmp_path, labelled, within):
    """`test=0.3` never takes a folder."""
    write(tmp_path, "train", *(["test"] if labelled else []), count=10)
    write_image(tmp_path / "test" / "a.png", seed=10**6)
    data = loaded(tmp_path if within else tmp_path / "train", test=0.3)
    assert len(data.test) == 6
    assert len(data.train) + len(data.validation) == 14


def test_named_folders_are_taken_as_they_are(tmp_path):
    """`train` and `test` given by the user are the folders of classes, whatever the names of these."""
    write(tmp_path, "a", "b", classes=("bus", "test", "train"))
    assert loaded(tmp_path / "a", test=str(tmp_path / "b")).classes == ("bus", "test", "train")


def test_named_classes_are_taken_as_they_are(tmp_path):
    """`classes` may choose among the folders, and says that folders named as splits are classes."""
    write(tmp_path, ".", classes=("control", "other", "test"))
    assert loaded(tmp_path, classes=["test", "control"]).classes == ("control", "test")
    assert "has no folder 'x'" in message(tmp_path, classes=("control", "x"))


def test_a_named_folder_without_labels_is_refused(tmp_path):
    """What was asked for is never left out."""
    write(tmp_path, "train")
    write_image(tmp_path / "test" / "a.png")
    assert "test=0.2 (--test 0.2)" in message(tmp_path / "train", test=str(tmp_path / "test"))


@pytest.mark.parametrize(("test", "hint"), [("Cat", "differ only in case"), ("cow", "test=0.2")])
def test_other_classes_in_the_test_folder_are_refused(tmp_path, test, hint):
    """The message names the difference and the way out."""
    write(tmp_path, "train")
    write_classes(tmp_path / "test", {test: 3, "dog": 3}, seed=5)
    assert hint in message(tmp_path)


def test_names_in_composed_and_decomposed_form_are_one_class(tmp_path):
    """macOS writes the accents of names as letters of their own."""
    write(tmp_path, "train", classes=("caf\u00e9", "dog"))
    write_classes(tmp_path / "test", {"cafe\u0301": 4, "dog": 4}, seed=7)
    assert loaded(tmp_path).classes == ("caf\u00e9", "dog")


@pytest.mark.parametrize(
    ("name", "reason"),
    [(b"raw\xff", "not valid UTF-8"), (b"two\nlines", "a control character"), (b"\x1b[31mred", "a control character")],
)
def test_a_name_that_cannot_be_shown_is_no_class(tmp_path, name, reason):
    """It is refused when the folder is listed, and the message shows it escaped."""
    write(tmp_path, ".", classes=("cat", os.fsdecode(name)))
    found = message(tmp_path)
    assert reason in found
    assert found.replace("\n", "").isprintable()


def test_names_that_differ_in_white_space_only_are_refused(tmp_path):
    """`cat` and `cat ` look the same everywhere."""
    write(tmp_path, ".", classes=("cat", "cat ", "dog"))
    assert "differ only in white space" in message(tmp_path)


def test_names_that_differ_in_case_only_are_reported(tmp_path):
    """They may be one class; single letters are not."""
    assert "'Cat' and 'cat'" in loaded(write(tmp_path / "a", ".", classes=("Cat", "cat"))).notices[0]
    assert loaded(write(tmp_path / "b", ".", classes=("A", "a"))).notices == ()


def test_a_link_that_leads_nowhere_is_no_missing_class(tmp_path):
    """A class that would be left out silently is refused."""
    write(tmp_path, ".")
    (tmp_path / "bird").symlink_to(tmp_path / "nowhere")
    assert "broken link" in message(tmp_path)


def test_linked_class_folders_are_classes(tmp_path):
    """Where a folder lies does not matter."""
    write(tmp_path / "elsewhere", ".")
    for name in PAIR:
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / name).symlink_to(tmp_path / "elsewhere" / name, target_is_directory=True)
    assert loaded(tmp_path / "data").classes == PAIR


@pytest.mark.parametrize("extension", [".tif", ".heic", ".avif", ".npy", ".pdf", ".dcm", ".mp4", ".svg", ".dng"])
def test_files_of_unsupported_types_are_named_where_a_class_has_no_image(tmp_path, extension):
    """How many there are, and what to do."""
    write_classes(tmp_path, {"cat": 5})
    (tmp_path / "dog").mkdir()
    for k in range(3):
        (tmp_path / "dog" / f"{k}{extension}").write_bytes(b"x")
    found = message(tmp_path)
    assert f"no images of class 'dog' (files there: 3 {extension}; convert them to PNG or JPEG" in found


def test_files_of_unsupported_types_are_counted_where_they_are_too_many(tmp_path):
    """The message says how many of which type, and what to do."""
    write(tmp_path, ".", count=8)
    for name in ("a.tif", "b.tif", "c.HEIC"):
        (tmp_path / "cat" / name).write_bytes(b"x")
    found = message(tmp_path)
    assert "3 of 19 files" in found
    assert "convert files of unsupported types to PNG or JPEG (2 .tif, 1 .heic)" in found


def test_a_split_that_loses_its_files_is_refused(tmp_path):
    """`max_skipped` holds for every split, however large the others are."""
    write(tmp_path, "train", count=60)
    write_classes(tmp_path / "test", dict.fromkeys(PAIR, 5), seed=7)
    for k in range(3):
        (tmp_path / "test" / "cat" / f"cat_{k:04d}.png").write_bytes(b"<html>")
    assert f"3 of 10 files of {tmp_path / 'test'} cannot be used" in message(tmp_path)
    assert len(loaded(tmp_path, max_skipped=0.6).skipped) == 3


def test_a_class_that_loses_most_of_its_files_is_refused(tmp_path):
    """Also a class that is small next to the others."""
    write_classes(tmp_path, {"cat": 90, "dog": 90, "owl": 8})
    for k in range(5):
        (tmp_path / "owl" / f"owl_{k:04d}.png").write_bytes(b"")
    assert "5 of 8 files of class 'owl'" in message(tmp_path)


def test_sub_folders_of_classes_are_reported(tmp_path):
    """Their images count as images of the class that holds them, which is said."""
    for name in ("animals/lion", "animals/zebra", "plants/rose"):
        write_classes(tmp_path, {name: 6})
    found = find_layout(str(tmp_path))
    assert list(found.roots.values()) == [str(tmp_path)]
    assert found.notices == (
        f"class folders of {tmp_path} have sub-folders, whose images count as images of their class: "
        "'animals' ('lion', 'zebra'), 'plants' ('rose')",
    )
