"""Keeps the images that were decoded before an end was asked for, so that the next run decodes only the others.

<cache>/decoded/unfinished/<key>/    images.npy in its full length, and done.json: which of its rows are written
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from studies.data.image_request import ImageRequest
from studies.images import cache_entry
from studies.images.decode_worker import DecodeResult
from studies.images.image_cache import UNFINISHED

DONE = "done.json"


def keep(root: Path, wanted: ImageRequest, folder: Path, done: Mapping[int, DecodeResult]) -> None:
    """Keep what is decoded. Only within `exclusive` of the same key.

    Args:
        root: The cache folder.
        wanted: What is decoded.
        folder: The scratch folder that holds the array file; the file is moved.
        done: What became of the file of each row that is done.

    Raises:
        OSError: The cache folder cannot be written.
    """
    if not done:
        return
    target = root / UNFINISHED / wanted.folder_key
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    rows = [(row, found.digest.hex(), found.problem) for row, found in sorted(done.items())]
    content = {
        "version": cache_entry.VERSION,
        "manifest": wanted.manifest,
        "sample": cache_entry.sample_of(folder / cache_entry.IMAGES),
        "rows": rows,
    }
    (folder / cache_entry.IMAGES).rename(target / cache_entry.IMAGES)
    (target / DONE).write_text(json.dumps(content))


def resume(root: Path, wanted: ImageRequest, folder: Path) -> dict[int, DecodeResult]:
    """Move what was kept of these files into a scratch folder, and say what became of each row that is done.

    Nothing is resumed where a file has changed since, or where what was kept is damaged. Only within `exclusive` of the
    same key.
    """
    kept = root / UNFINISHED / wanted.folder_key
    try:
        content = json.loads((kept / DONE).read_text())
        is_same = (content["version"], content["manifest"]) == (cache_entry.VERSION, wanted.manifest)
        if not is_same or content["sample"] != cache_entry.sample_of(kept / cache_entry.IMAGES):
            return {}
        done = {int(row): DecodeResult(bytes.fromhex(digest), problem) for row, digest, problem in content["rows"]}
        (kept / cache_entry.IMAGES).rename(folder / cache_entry.IMAGES)
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    finally:
        shutil.rmtree(kept, ignore_errors=True)
    return done
