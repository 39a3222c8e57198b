"""What an interrupted decoding saves for the next run."""

from pathlib import Path

import pytest

from studies.images import parallel_decode
from studies.images.decode_worker import decode_into
from studies.images.image_cache import clear, entries
from tests.support.image_folders import all_bytes, load_folder
from tests.support.images import write_image


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are decoded."""
    paths: list[str] = []

    def counting(rows, row, path, form):
        paths.append(path)
        return decode_into(rows, row, path, form)

    monkeypatch.setattr(parallel_decode, "decode_into", counting)
    return paths


@pytest.fixture
def interrupted(photos: Path, decoded: list[str]) -> None:
    """Interrupt the decoding of the folder after 15 files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel_decode, "core_count", lambda: 1)
        patch.setattr(parallel_decode, "_MAX_PER_CHUNK", 1)
        decode = parallel_decode.decode_into

        def decode_or_interrupt(*args):
            if len(decoded) == 15:
                raise KeyboardInterrupt
            return decode(*args)

        patch.setattr(parallel_decode, "decode_into", decode_or_interrupt)
        with pytest.raises(KeyboardInterrupt):
            load_folder(photos)


@pytest.mark.usefixtures("interrupted")
def test_the_next_run_decodes_only_the_others(photos, decoded, cache):
    """Its images are those of an uninterrupted run, its progress continues, and no scratch folder is left."""
    assert (entries(), list((cache / "decoded").glob("scratch-*"))) == ([], [])
    reports: list[tuple[int, int]] = []
    data = load_folder(photos, progress=lambda *report: reports.append(report))
    assert len(decoded) == len(set(decoded)) == 20
    assert (reports[0][0] >= 15, reports[-1]) == (True, (20, 20))
    assert not list((cache / "decoded" / "unfinished").iterdir())
    clear()
    assert all_bytes(load_folder(photos)) == all_bytes(data)


@pytest.mark.usefixtures("interrupted")
def test_a_changed_folder_is_decoded_again(photos, decoded):
    """The saved images may be of other files."""
    write_image(photos / "a" / "another.png", seed=999)
    load_folder(photos)
    assert len(decoded) == 15 + 21


@pytest.mark.usefixtures("interrupted")
def test_damaged_saved_images_are_decoded_again(photos, decoded, cache):
    """A truncated file is not used."""
    (file,) = (cache / "decoded" / "unfinished").glob("*/images.npy")
    file.write_bytes(file.read_bytes()[:-10])
    load_folder(photos)
    assert len(decoded) == 15 + 20


@pytest.mark.usefixtures("interrupted")
def test_clearing_the_cache_removes_saved_images(cache):
    """`search cache --clear` leaves nothing."""
    clear()
    assert not (cache / "decoded" / "unfinished").exists()
