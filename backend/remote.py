"""Storage that fsspec reaches (S3 and others): objects with a manifest, written last, and a cache on each machine.

`<key>.manifest.json` lists the files of an object with sizes and SHA-256. Without it there is no object, so a transfer
that broke off left nothing; what is downloaded is compared with it.
"""

import hashlib
import os
import struct
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from backend.cache import Cache
from backend.errors import AppError
from backend.storage import ObjectDamaged, StorageTrouble, Store, checked, missing, named, remove

log = structlog.get_logger()

BLOCK = 4 << 20
HEADER_AT_MOST = 100_000_000
REMEMBERED_SECONDS = 30.0
AGAIN_AFTER_SECONDS = (1.0, 4.0, 15.0)
SETTINGS: dict[str, dict[str, Any]] = {
    "s3": {
        "config_kwargs": {"connect_timeout": 5, "read_timeout": 60, "retries": {"max_attempts": 2}},
        "use_listings_cache": False,
    }
}


class File(BaseModel):
    """One file of an object; `name` is empty when the object is that file."""

    model_config = ConfigDict(frozen=True)

    name: str
    size: int
    sha256: str


class Manifest(BaseModel):
    """What an object consists of."""

    version: int = 1
    files: list[File]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


def file_system(url: str) -> tuple[Any, str]:
    """The fsspec file system of a URL and the path there.  Raises StorageTrouble for a protocol nobody knows here."""
    import fsspec

    protocol = urlsplit(url).scheme
    try:
        found, path = fsspec.core.url_to_fs(url, skip_instance_cache=True, **SETTINGS.get(protocol, {}))
    except (ValueError, ImportError) as error:
        raise StorageTrouble(
            f"PLUMBLINE_STORAGE names the protocol {protocol}, which this installation does not speak.",
            remedy="Use s3://bucket/prefix or a folder, or install the fsspec package of that protocol.",
        ) from error
    return found, path.rstrip("/")


class RemoteStore(Store):
    """Objects behind an fsspec file system."""

    def __init__(self, fs: Any, prefix: str, cache: Path, cache_bytes: int) -> None:
        self.fs, self.prefix = fs, prefix
        self.cache = Cache(cache, cache_bytes)
        self._seen: dict[str, float] = {}

    def put(self, source: Path, key: str, *, move: bool = False) -> None:
        if self.exists(key):
            if move:
                remove(source)
            return
        with _naming():
            manifest = describe(source)
        _retried(lambda: self._send(source, key, manifest))
        if move:
            with _naming():
                self.cache.adopt(key, source)

    def in_place(self, source: Path, key: str) -> bool:  # noqa: ARG002
        return False

    def exists(self, key: str) -> bool:
        if time.monotonic() - self._seen.get(key, -REMEMBERED_SECONDS) < REMEMBERED_SECONDS:
            return True
        with _naming():
            found = bool(self.fs.exists(self._at(key) + ".manifest.json"))
        if found:
            self._seen[key] = time.monotonic()
        return found

    def size(self, key: str) -> int:
        return self.manifest(key).size

    def delete(self, key: str) -> None:
        try:
            files = self.manifest(key).files
        except (AppError, ObjectDamaged):
            files = []
        self._seen.pop(key, None)
        with _naming():
            for path in (self._at(key) + ".manifest.json", *(self._at(key, file.name) for file in files)):
                with suppress(FileNotFoundError):
                    self.fs.rm_file(path)
        self.cache.forget(key)

    def hold(self, key: str, until: ExitStack) -> Path:
        with _naming():
            return self.cache.get(checked(key), lambda: self.size(key), lambda to: self._fetch(key, to), until)

    def shown(self, key: str) -> str:
        return checked(key)

    def outline(self, key: str) -> Path:
        def fetch(to: Path) -> None:
            for file in self.manifest(key).files:
                self._fetch_outline(key, file, _inside(to, file.name))

        with _naming(), ExitStack() as held:
            return self.cache.get(f"outlines/{checked(key)}", lambda: 0, fetch, held)

    def manifest(self, key: str) -> Manifest:
        """The files of an object.  Raises ObjectMissing, ObjectDamaged, StorageTrouble."""
        path = self._at(key) + ".manifest.json"
        try:
            with _naming():
                found = Manifest.model_validate_json(self.fs.cat_file(path))
        except ValidationError:
            raise _damaged(key) from None
        except StorageTrouble as error:
            if isinstance(error.__cause__, FileNotFoundError) and self._reached():
                raise missing(key) from None
            raise
        return found

    def check(self) -> None:
        probe = f"{self.prefix}/probe-{uuid.uuid4().hex}"
        with _naming():
            self.fs.pipe_file(probe, b"here")
            self.fs.cat_file(probe)
            self.fs.rm_file(probe)

    def _reached(self) -> bool:
        """Whether the storage itself is there; else it says so by raising StorageTrouble."""
        bucket = self.prefix.partition("/")[0]
        with _naming():
            if "s3" in self.fs.protocol and not self.fs.exists(bucket):
                raise FileNotFoundError(bucket)
        return True

    def _at(self, key: str, name: str = "") -> str:
        return f"{self.prefix}/{checked(key)}{'/' + name if name else ''}"

    def _send(self, source: Path, key: str, manifest: Manifest) -> None:
        with _naming():
            for file in manifest.files:
                there = self._at(key, file.name)
                self.fs.put_file(str(_inside(source, file.name)), there)
                if self.fs.info(there)["size"] != file.size:
                    raise _damaged(key)
            self.fs.pipe_file(self._at(key) + ".manifest.json", manifest.model_dump_json().encode())

    def _fetch(self, key: str, to: Path) -> None:
        for file in self.manifest(key).files:
            path = _inside(to, file.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            digest, size = hashlib.sha256(), 0
            with self._opened(key, file) as remote, path.open("xb") as written:
                while block := remote.read(BLOCK):
                    digest.update(block)
                    size += written.write(block)
                written.flush()
                os.fsync(written.fileno())
            if (size, digest.hexdigest()) != (file.size, file.sha256):
                raise _damaged(key)

    def _fetch_outline(self, key: str, file: File, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._opened(key, file) as remote, path.open("xb") as written:
            if file.name.endswith(".safetensors"):
                start = remote.read(8)
                length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
                written.write(start + remote.read(min(length, HEADER_AT_MOST)))
                written.truncate(file.size)
            else:
                written.write(remote.read())

    @contextmanager
    def _opened(self, key: str, file: File) -> Iterator[Any]:
        """One file of an object to read; a part that is not there means that the object is damaged."""
        try:
            found = self.fs.info(self._at(key, file.name))["size"]
        except FileNotFoundError:
            raise _damaged(key) from None
        if found != file.size:
            raise _damaged(key)
        with self.fs.open(self._at(key, file.name), "rb", block_size=BLOCK) as remote:
            yield remote


def describe(source: Path) -> Manifest:
    """The files of a file or folder; links are none of them."""
    paths = [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())
    files = []
    for path in paths:
        if path.is_symlink():
            continue
        with path.open("rb") as opened:
            sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
        name = "" if path == source else path.relative_to(source).as_posix()
        files.append(File(name=name, size=path.stat().st_size, sha256=sha256))
    return Manifest(files=files)


def _inside(folder: Path, name: str) -> Path:
    return folder / checked(name) if name else folder


def _damaged(key: str) -> ObjectDamaged:
    return ObjectDamaged(
        f"{key} is damaged in the storage: its files are not those that were put there.",
        remedy="Bring it back from a backup, or choose another.",
    )


def _retried(send: Callable[[], None]) -> None:
    """Do it again after a pause while the storage does not answer; refusals and full disks are final."""
    for pause in AGAIN_AFTER_SECONDS:
        try:
            send()
        except StorageTrouble as error:
            if type(error) is not StorageTrouble:
                raise
            log.warning("storage does not answer; trying again", seconds=pause, cause=repr(error.__cause__))
            time.sleep(pause)
        else:
            return
    send()


@contextmanager
def _naming() -> Iterator[None]:
    """Every protocol has exceptions of its own; outside of here there are only ours."""
    try:
        yield
    except (AppError, ValidationError):
        raise
    except Exception as error:
        raise named(error) from error
