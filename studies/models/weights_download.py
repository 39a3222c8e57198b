"""Downloads the ImageNet weights that `keras.applications` would download, with a time limit on every wait."""

import hashlib
import os
import re
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import keras
from filelock import FileLock, Timeout
from keras.src.utils import file_utils

from spaces.errors import ModelError
from studies.backend.keras_backend import keras_home
from studies.backend.quiet import quiet_keras
from studies.models.out_of_memory import is_out_of_memory

CONNECT_SECONDS = 10.0
"""Time limit for connecting to the server, and for each read."""

LOCK_SECONDS = 1800.0
"""Time limit for waiting for another process that downloads the same file."""

MIRROR_ENV = "SEARCH_WEIGHTS_URL"
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class KerasFile:
    """Weights file as `keras.applications` names it.

    Args:
        name: Name in Keras' cache.
        url: Keras' own download address.
        digest: MD5 or SHA-256 in hexadecimal; None if Keras has none.
    """

    name: str
    url: str
    digest: str | None


class _FileRequested(BaseException):
    """Exits Keras' constructor as soon as it requests a file; `except Exception` does not catch it."""

    def __init__(self, file: KerasFile) -> None:
        self.file = file


@lru_cache(maxsize=64)
def keras_file(name: str, alpha: float | None, input_shape: tuple[int, ...] | None, has_top: bool = False) -> KerasFile:
    """Return the file that `keras.applications` would load for a network.

    The names are only known to Keras' constructors, so the constructor runs until it requests its file.

    Args:
        name: Name of the network.
        alpha: Width multiplier; None for the network's own.
        input_shape: (height, width, channels), which selects one of MobileNet's files; None for the network's own.
        has_top: Whether to include the classifier of ImageNet's 1,000 classes.

    Raises:
        ModelError: The network has no ImageNet weights of this width.
    """
    options: dict[str, Any] = {} if alpha is None else {"alpha": alpha}
    if not has_top:
        options["input_shape"] = input_shape
    before = file_utils.get_file

    def ask(fname: str, origin: str, *_: Any, **given: Any) -> Any:
        raise _FileRequested(KerasFile(fname, origin, given.get("file_hash")))

    file_utils.get_file = ask
    try:
        with quiet_keras():
            getattr(keras.applications, name)(weights="imagenet", include_top=has_top, **options)
    except _FileRequested as asked:
        return asked.file
    except ValueError as error:
        raise ModelError(f"backbone: {name} has no such ImageNet weights: {_sentence(error)}") from error
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise ModelError(f"backbone: cannot find the ImageNet weights of {name}: {_sentence(error)}") from error
    finally:
        file_utils.get_file = before
    raise ModelError(f"backbone: this version of Keras has no weights file for {name}\nhint: pass weights=FILE")


def keras_cache() -> Path:
    """Return the folder in which Keras stores downloaded weights."""
    return keras_home() / "models"


def download(file: KerasFile, folder: Path, notice: Callable[[str], None]) -> Path:
    """Download a file to a folder, where it appears when complete, unless another process has just done so.

    `notice` is called with one line before the download starts.

    Returns:
        The path of the file.

    Raises:
        ModelError: The server does not respond or has no such file, or the file is damaged or cannot be written.
    """
    target, url = folder / file.name, mirror_url(file.url)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{file.name}.lock", timeout=LOCK_SECONDS):
            if not is_complete(target, file):
                notice(f"downloading {file.name} to {folder}")
                _fetch(url, target, file)
    except Timeout as error:
        raise ModelError(f"another process has been downloading {target} for {LOCK_SECONDS:.0f} s") from error
    except (TimeoutError, urllib.error.URLError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise ModelError(f"download from {url} failed: {_reason(error)}") from error
    except OSError as error:
        raise ModelError(f"cannot download {file.name} to {folder}: {error.strerror or error}") from error
    return target


def is_complete(path: Path, file: KerasFile) -> bool:
    """Return True if the file at the path exists and has the digest that Keras expects."""
    if not path.is_file():
        return False
    if file.digest is None:
        return True
    kind = "sha256" if len(file.digest) == 64 else "md5"
    with path.open("rb") as content:
        return hashlib.file_digest(content, kind).hexdigest() == file.digest


def mirror_url(url: str) -> str:
    """Return the address to download from: on the server named by SEARCH_WEIGHTS_URL, or Keras' own.

    Raises:
        ModelError: SEARCH_WEIGHTS_URL is not an address.
    """
    mirror = os.environ.get(MIRROR_ENV)
    if not mirror:
        return url
    base = urlsplit(mirror)
    if base.scheme not in ("http", "https") or not base.netloc:
        raise ModelError(f"{MIRROR_ENV}: expected an address such as http://mirror/keras, got {mirror!r}")
    return urlunsplit((base.scheme, base.netloc, base.path.rstrip("/") + urlsplit(url).path, "", ""))


def _fetch(url: str, target: Path, file: KerasFile) -> None:
    part = target.with_name(f"{target.name}.{uuid.uuid4().hex}.part")
    try:
        with _connect(url) as response, part.open("wb") as out:
            while chunk := response.read(_CHUNK_BYTES):
                out.write(chunk)
        expected = response.headers.get("Content-Length")
        if expected is not None and part.stat().st_size != int(expected):
            raise ModelError(f"download from {url} ended early: {part.stat().st_size} of {expected} bytes")
        if not is_complete(part, file):
            raise ModelError(f"download from {url} is damaged: its digest is not {file.digest}")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _connect(url: str) -> Any:
    """Open a connection within the time limit, in a thread because a DNS lookup has no time limit."""
    answer: list[Any] = []

    def connect() -> None:
        try:
            answer.append(urllib.request.urlopen(url, timeout=CONNECT_SECONDS))
        except Exception as error:  # noqa: BLE001 - raised below, in the waiting thread
            answer.append(error)

    thread = threading.Thread(target=connect, name="download", daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS)
    if not answer:
        raise TimeoutError(f"no answer within {CONNECT_SECONDS:.0f} s")
    if isinstance(answer[0], Exception):
        raise answer[0]
    return answer[0]


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"{error.code} {error.reason}"
    reason = getattr(error, "reason", None) or error
    return f"no answer within {CONNECT_SECONDS:.0f} s" if isinstance(reason, TimeoutError) else str(reason)


def _sentence(error: Exception) -> str:
    return re.split(r"\.\s|\n", str(error).strip() or type(error).__name__)[0]
