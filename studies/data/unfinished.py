"""Save the images that an interrupted run has decoded, so that the next run decodes only the others.

<cache>/decoded/unfinished/<key>/    images.npy in full length, and done.json with the rows that are written
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


def save(root: Path, request: ImageRequest, folder: Path, done: Mapping[int, DecodeResult]) -> None:
    """Save the decoded rows. Requires the `build_lock` of the key.

    Args:
        folder: Scratch folder that contains the array file, which is moved.

    Raises:
        OSError: The cache folder cannot be written.
    """
    if not done:
        return
    target = root / UNFINISHED / request.folder_key
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    rows = [(row, found.digest.hex(), found.problem) for row, found in sorted(done.items())]
    content = {
        "version": cache_entry.VERSION,
        "manifest": request.manifest,
        "sample": cache_entry.sample_digest(folder / cache_entry.IMAGES),
        "rows": rows,
    }
    (folder / cache_entry.IMAGES).rename(target / cache_entry.IMAGES)
    (target / DONE).write_text(json.dumps(content))


def resume(root: Path, request: ImageRequest, folder: Path) -> dict[int, DecodeResult]:
    """Move the saved rows of these files into a scratch folder, and return the result of each decoded row.

    Nothing is resumed if a file has changed since, or if the saved rows are damaged. Requires the `build_lock` of the
    key.
    """
    saved = root / UNFINISHED / request.folder_key
    try:
        content = json.loads((saved / DONE).read_text())
        is_same = (content["version"], content["manifest"]) == (cache_entry.VERSION, request.manifest)
        if not is_same or content["sample"] != cache_entry.sample_digest(saved / cache_entry.IMAGES):
            return {}
        done = {int(row): DecodeResult(bytes.fromhex(digest), problem) for row, digest, problem in content["rows"]}
        (saved / cache_entry.IMAGES).rename(folder / cache_entry.IMAGES)
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    finally:
        shutil.rmtree(saved, ignore_errors=True)
    return done
