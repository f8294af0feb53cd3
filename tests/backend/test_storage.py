"""Storage in a folder and behind a URL: whole or not at all, compared on arrival, cached, plain about what is wrong."""

import json
import multiprocessing
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from backend import remote, storage
from backend.cache import Cache
from backend.errors import NoSpace
from backend.remote import RemoteStore, file_system
from backend.storage import BadKey, FolderStore, ObjectDamaged, ObjectMissing, StorageMissing, StorageRefused
from tests import s3

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # the event loop's sockets outlive a test
WEIGHTS = b'{"w":{"dtype":"F32","shape":[64],"data_offsets":[0,256]}}'


@pytest.fixture(scope="module")
def server() -> Iterator[s3.Server]:
    with s3.serving() as running:
        yield running


@pytest.fixture
def keys(server: s3.Server, monkeypatch: pytest.MonkeyPatch) -> s3.Server:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(remote, "AGAIN_AFTER_SECONDS", (0.0,))
    return server


MakeStore = Callable[..., RemoteStore]


@pytest.fixture
def on_machine(keys: s3.Server, tmp_path: Path) -> MakeStore:
    """The one bucket as seen from machines with caches of their own."""

    def make(name: str, bucket: str = "plumbline") -> RemoteStore:
        return RemoteStore(*file_system(f"s3://{bucket}/{tmp_path.name}"), tmp_path / name / "cache", 1 << 30)

    return make


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "made" / "7"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(WEIGHTS)) + WEIGHTS + os.urandom(256))
    return folder


def held(store: storage.Store, key: str) -> Path:
    with ExitStack() as until:
        return store.hold(key, until)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_folder_in_place(tmp_path: Path, checkpoint: Path) -> None:
    """In a folder nothing is copied to be read, and what already lies at its key is left as it is."""
    store = FolderStore(tmp_path)
    store.put(checkpoint, "made/7")
    assert held(store, "made/7") == checkpoint
    store.put(checkpoint, "checkpoints/a", move=True)
    assert not checkpoint.exists()
    assert store.size("checkpoints/a") == sum(len(data) for data in content(tmp_path / "checkpoints" / "a").values())
    store.delete("checkpoints/a")
    assert not store.exists("checkpoints/a")
    with pytest.raises(ObjectMissing):
        held(store, "checkpoints/a")


@pytest.mark.parametrize("key", ["../x", "a/../b", "/etc", "", "a//b", ".hidden", "a/.b", "a\x00", "a\n"])
def test_keys_stay_inside(tmp_path: Path, key: str) -> None:
    """No key leads out of the storage."""
    with pytest.raises(BadKey):
        FolderStore(tmp_path).exists(key)


def test_packaged() -> None:
    """What comes with the program is found wherever the program is installed."""
    assert (storage.local("package:alignment/toyworld/base") / "config.json").is_file()


def test_other_machine(on_machine: MakeStore, checkpoint: Path) -> None:
    """What one machine stores another reads, byte for byte; a second look needs no network."""
    one, other = on_machine("a"), on_machine("b")
    one.put(checkpoint, "checkpoints/x")
    one.put(checkpoint / "config.json", "uploads/y")
    found = held(other, "checkpoints/x")
    assert content(found) == content(checkpoint)
    assert held(other, "uploads/y").read_text() == "{}"
    assert other.exists("checkpoints/x")
    assert other.size("checkpoints/x") == sum(map(len, content(checkpoint).values()))
    other.fs = None
    assert held(other, "checkpoints/x") == found


def test_outline(on_machine: MakeStore, checkpoint: Path) -> None:
    """Headers can be read without fetching the weights: the file has its full size and no content behind them."""
    on_machine("a").put(checkpoint, "checkpoints/x")
    file = on_machine("b").outline("checkpoints/x") / "model.safetensors"
    assert file.stat().st_size == (checkpoint / "model.safetensors").stat().st_size
    assert file.read_bytes()[8:].startswith(WEIGHTS)
    assert file.read_bytes().endswith(bytes(256))


def test_delete(on_machine: MakeStore, checkpoint: Path) -> None:
    """After a delete nothing of the object is left, in the bucket or in the cache."""
    store = on_machine("a")
    store.put(checkpoint, "checkpoints/x", move=True)
    held(store, "checkpoints/x")
    store.delete("checkpoints/x")
    assert not store.exists("checkpoints/x")
    assert store.fs.find(store.prefix) == []
    with pytest.raises(ObjectMissing):
        held(store, "checkpoints/x")


def test_half_sent(on_machine: MakeStore, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transfer that breaks off leaves no object; doing it again completes it."""
    store = on_machine("a")
    put_file, times = store.fs.put_file, 0

    def breaks(source: str, there: str) -> None:
        nonlocal times
        times += 1
        if times < 4:
            raise ConnectionError("cable")
        put_file(source, there)

    store.fs.put_file = breaks
    with pytest.raises(storage.StorageTrouble):
        store.put(checkpoint, "checkpoints/x")
    assert not store.exists("checkpoints/x")
    store.put(checkpoint, "checkpoints/x")
    assert content(held(on_machine("b"), "checkpoints/x")) == content(checkpoint)


@pytest.mark.parametrize("change", [b"", b"other bytes of the same length or not", None])
def test_changed_behind_our_back(
    on_machine: MakeStore, keys: s3.Server, checkpoint: Path, tmp_path: Path, change: bytes | None
) -> None:
    """A file that was cut off, changed or removed in the bucket is told, and nothing of it stays in the cache."""
    on_machine("a").put(checkpoint, "checkpoints/x")
    other, client = on_machine("b"), keys.client()
    name = f"{tmp_path.name}/checkpoints/x/model.safetensors"
    if change is None:
        client.delete_object(Bucket="plumbline", Key=name)
    else:
        size = (checkpoint / "model.safetensors").stat().st_size
        client.put_object(Bucket="plumbline", Key=name, Body=(change * size)[:size])
    client.close()
    with pytest.raises(ObjectDamaged):
        held(other, "checkpoints/x")
    assert not [path for path in (tmp_path / "b" / "cache").rglob("*") if path.name == "x"]


def test_bad_manifest(on_machine: MakeStore, keys: s3.Server, checkpoint: Path, tmp_path: Path) -> None:
    """A manifest that names files elsewhere writes nothing there."""
    on_machine("a").put(checkpoint, "checkpoints/x")
    client = keys.client()
    files = [{"name": "../../../../evil", "size": 2, "sha256": "0" * 64}]
    name = f"{tmp_path.name}/checkpoints/x.manifest.json"
    client.put_object(Bucket="plumbline", Key=name, Body=json.dumps({"version": 1, "files": files}).encode())
    client.close()
    with pytest.raises(storage.StorageTrouble):
        held(on_machine("b"), "checkpoints/x")
    assert not list(tmp_path.rglob("evil"))


def test_wrong_credentials(on_machine: MakeStore, monkeypatch: pytest.MonkeyPatch, checkpoint: Path) -> None:
    """Keys that the server does not know are told as such, when storing, reading and checking."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    store = on_machine("a")
    for doing in (store.check, lambda: store.put(checkpoint, "checkpoints/x"), lambda: held(store, "checkpoints/x")):
        with pytest.raises(StorageRefused):
            doing()


def test_no_bucket(on_machine: MakeStore, checkpoint: Path) -> None:
    """A bucket that does not exist is told as such."""
    store = on_machine("a", "nowhere")
    for doing in (store.check, lambda: store.put(checkpoint, "checkpoints/x"), lambda: held(store, "checkpoints/x")):
        with pytest.raises(StorageMissing):
            doing()


def test_no_server(on_machine: MakeStore, monkeypatch: pytest.MonkeyPatch, checkpoint: Path) -> None:
    """A server that is away is told as such, and neither as missing data nor as missing rights."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    store = on_machine("a")
    for doing in (store.check, lambda: held(store, "checkpoints/x")):
        with pytest.raises(storage.StorageTrouble) as refused:
            doing()
        assert type(refused.value) is storage.StorageTrouble


def test_unknown_protocol() -> None:
    """A protocol that nobody speaks here is a sentence."""
    with pytest.raises(storage.StorageTrouble, match="gopher"):
        file_system("gopher://x/y")


class Made:
    """Makes a copy slowly and counts how often."""

    def __init__(self, counter: Path, size: int = 1 << 20) -> None:
        self.counter, self.size = counter, size

    def __call__(self, to: Path) -> None:
        with self.counter.open("a") as file:
            file.write("x")
        time.sleep(0.2)
        to.write_bytes(bytes(self.size))


def get(cache: Cache, key: str, fetch: Callable[[Path], None]) -> Path:
    with ExitStack() as until:
        return cache.get(key, lambda: 1 << 20, fetch, until)


def test_once_for_all_processes(tmp_path: Path) -> None:
    """Processes that ask for the same copy at once make it once."""
    cache, made = Cache(tmp_path / "cache", 1 << 30), Made(tmp_path / "made")
    started = [multiprocessing.get_context("spawn").Process(target=get, args=(cache, "k/a", made)) for _ in range(2)]
    for process in started:
        process.start()
    for process in started:
        process.join(60)
    assert [process.exitcode for process in started] == [0, 0]
    assert (tmp_path / "made").read_text() == "x"


def test_eviction(tmp_path: Path) -> None:
    """Beyond the limit what was used longest ago goes, and never what is in use."""
    cache, made = Cache(tmp_path / "cache", 2 << 20, grace_seconds=0), Made(tmp_path / "made")
    with ExitStack() as until:
        first = cache.get("k/first", lambda: 1 << 20, made, until)
        second, third = get(cache, "k/second", made), get(cache, "k/third", made)
        assert (first.exists(), second.exists(), third.exists()) == (True, False, True)
    get(cache, "k/fourth", made)
    assert (first.exists(), third.exists()) == (False, True)


def test_interrupted_and_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A download that breaks off leaves no copy; a disk without room is told before the first byte."""
    cache, made = Cache(tmp_path / "cache", 1 << 30), Made(tmp_path / "made")

    def breaks(to: Path) -> None:
        to.write_bytes(b"half")
        raise ConnectionError

    with pytest.raises(ConnectionError):
        get(cache, "k/a", breaks)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.name == "a"]
    monkeypatch.setattr("backend.cache.RESERVE", 1 << 60)
    with pytest.raises(NoSpace):
        get(cache, "k/a", made)
    assert not (tmp_path / "made").exists()
