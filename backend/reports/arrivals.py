"""Checkpoints that a reporter sends: declared, received in pieces, compared, looked through, and only then stored."""

import hashlib
import json
import shutil
import threading
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillAtIt
from functools import lru_cache
from pathlib import Path

from backend import storage
from backend.checkpoints import folder as folders
from backend.checkpoints import places
from backend.checkpoints.models import Checkpoint
from backend.errors import Conflict, Invalid, NoSpace, NotFound, TooLarge
from backend.reports.schemas import FileIn, ReportedCheckpointIn
from backend.settings import get_settings

SUFFIXES = (".safetensors", ".json", ".jinja", ".txt", ".model")
LARGEST_TEXT = 64 << 20  # of a file that holds no weights
BYTES_PER_PARAMETER = 4
SPARE_BYTES = 256 << 20  # for headers, tokenizers and buffers
RESERVE = 1 << 30  # what the disk keeps free
MOST_AT_ONCE = 4
WAIT_SECONDS = 5.0


class FileRefused(Invalid):
    title = "File not accepted"


class NotDeclared(NotFound):
    title = "Not declared"


class Damaged(Invalid):
    title = "Damaged on the way"


class TooManyArriving(Conflict):
    title = "Too many at once"


def key_of(run_id: uuid.UUID, step: int) -> str:
    """Where the checkpoint of a step is stored."""
    return f"runs/{run_id}/checkpoints/{step}"


def declare(run_id: uuid.UUID, step: int, body: ReportedCheckpointIn, parent: Checkpoint) -> dict[str, int]:
    """Expect these files, and tell how much of each is here. Other files declared before for the step are dropped.

    Raises FileRefused, TooLarge, TooManyArriving, NoSpace.
    """
    _refuse_files(body.files, parent)
    folder = _folder(run_id, step)
    declared = body.model_dump_json()
    known = _list(folder)
    if not known.is_file() or known.read_text() != declared:
        shutil.rmtree(folder, ignore_errors=True)
        siblings = [path for path in folder.parent.glob("*") if path.is_dir()]
        if len(siblings) >= MOST_AT_ONCE:
            raise TooManyArriving(
                f"{len(siblings)} checkpoints of this run are unfinished.", remedy="Finish or restart one of them."
            )
        total = sum(file.size for file in body.files)
        get_settings().data.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(get_settings().data).free - RESERVE < total:
            raise NoSpace("The server's disk has no room for this checkpoint.", remedy="Free some space there.")
        folder.mkdir(parents=True, mode=0o700)
        known.write_text(declared)
    return {file.name: _size(folder / file.name) for file in body.files}


def receive(run_id: uuid.UUID, step: int, name: str, offset: int, piece: bytes) -> int:
    """Add a piece to a declared file, and tell how much of it is here; a piece that does not follow changes nothing.

    A file whose last piece has come is compared with its SHA-256.  Raises NotDeclared, TooLarge, Damaged.
    """
    folder = _folder(run_id, step)
    if not folder.is_dir():
        raise NotDeclared("This checkpoint was not declared.", remedy="Declare its files first.")
    file = next((file for file in _declared(folder) if file.name == name), None)
    if file is None:
        raise NotDeclared("No such file was declared.", remedy="Declare the checkpoint's files first.")
    path = folder / file.name
    size = _size(path)
    if offset != size or not piece:
        return size
    if size + len(piece) > file.size:
        raise TooLarge(f"{file.name} is longer than was declared.", remedy="Declare the checkpoint again.")
    with path.open("ab") as opened:
        opened.write(piece)
    if size + len(piece) == file.size:
        _compare(path, file)
    return size + len(piece)


def store(run_id: uuid.UUID, step: int, parent: Checkpoint, base: Path) -> bool:
    """Begin to store a checkpoint all of whose files are here; whether it is stored by now. Ask until it is.

    `base` is a folder with the parent's headers.  Raises NotDeclared, Damaged, FileRefused, StorageTrouble, NoSpace.
    """
    key = key_of(run_id, step)
    if storage.exists(key):
        shutil.rmtree(_folder(run_id, step), ignore_errors=True)
        _list(_folder(run_id, step)).unlink(missing_ok=True)
        return True
    with _LOCK:
        if key not in _storing:
            _storing[key] = _threads().submit(_store, run_id, step, parent, base)
        future = _storing[key]
    try:
        future.result(WAIT_SECONDS)
    except StillAtIt:
        return False
    finally:
        if future.done():
            _storing.pop(key, None)
    return True


def forget(run_id: uuid.UUID) -> None:
    """Remove what had arrived and was not stored."""
    shutil.rmtree(get_settings().runs.absolute() / str(run_id) / "arriving", ignore_errors=True)


_LOCK = threading.Lock()
_storing: dict[str, "Future[None]"] = {}


@lru_cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2, thread_name_prefix="arrivals")


def _store(run_id: uuid.UUID, step: int, parent: Checkpoint, base: Path) -> None:
    folder = _folder(run_id, step)
    for file in _declared(folder):
        if _size(folder / file.name) != file.size:
            raise Damaged(f"{file.name} is not here whole.", remedy="Send the rest of it.")
    for path in folder.glob("*.json"):
        _refuse_odd_json(path)
    try:
        facts = folders.read_reported(places.based(folder, base))
    except folders.Unfit as error:
        raise FileRefused(error.reason, remedy=error.remedy) from error
    if (facts.architecture, facts.parameters) != (parent.architecture, parent.parameters):
        raise FileRefused(
            "These weights are not of the model that the run starts from.", remedy="Send the run's own checkpoints."
        )
    storage.put(folder, key_of(run_id, step), move=True)
    _list(folder).unlink(missing_ok=True)


def _refuse_files(files: list[FileIn], parent: Checkpoint) -> None:
    names = [file.name for file in files]
    for file in files:
        if not file.name.endswith(SUFFIXES) or ".." in file.name:
            raise FileRefused(
                f"{file.name} is no file that a checkpoint is made of here.",
                field="files",
                remedy="Send safetensors weights, their JSON settings and the tokenizer.",
            )
        if not file.name.endswith(".safetensors") and file.size > LARGEST_TEXT:
            raise TooLarge(f"{file.name} is larger than any such file.", field="files")
    if len(set(map(str.lower, names))) != len(names):
        raise FileRefused("Two files have one name.", field="files")
    if sum(file.size for file in files) > BYTES_PER_PARAMETER * parent.parameters + SPARE_BYTES:
        raise TooLarge(
            "The checkpoint is larger than the model that the run starts from.",
            field="files",
            remedy="Send the run's own checkpoints.",
        )


def _refuse_odd_json(path: Path) -> None:
    try:
        value = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise FileRefused(f"{path.name} is not JSON.", remedy="Send the file as training wrote it.") from error
    if not isinstance(value, dict):
        raise FileRefused(f"{path.name} is not a table of settings.", remedy="Send the file as training wrote it.")
    if path.name == "adapter_config.json" and (
        value.get("peft_type") != "LORA" or value.get("auto_mapping") or value.get("megatron_config")
    ):
        raise FileRefused("adapter_config.json is not one of a LoRA run.", remedy="Send the run's own checkpoints.")


def _compare(path: Path, file: FileIn) -> None:
    with path.open("rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if found != file.sha256:
        path.unlink()
        raise Damaged(f"{file.name} is not what was declared; it was dropped.", remedy="Send the file again.")


def _declared(folder: Path) -> list[FileIn]:
    try:
        return ReportedCheckpointIn.model_validate_json(_list(folder).read_bytes()).files
    except FileNotFoundError:
        raise NotDeclared("This checkpoint was not declared.", remedy="Declare its files first.") from None


def _list(folder: Path) -> Path:
    """The file, beside the folder, of what was declared."""
    return folder.with_suffix(".list")


def _folder(run_id: uuid.UUID, step: int) -> Path:
    return get_settings().runs.absolute() / str(run_id) / "arriving" / str(step)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
