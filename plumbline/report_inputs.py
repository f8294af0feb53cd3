"""What a run needs on the machine that trains: its data and weights, fetched from the server or taken from here."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from alignment.training.errors import bad_spec
from alignment.training.folder import ADAPTER
from alignment.training.run import read_spec
from alignment.training.spec import Spec
from backend.offline import barred
from plumbline.report_line import ReportLine
from plumbline.services import Trouble

PLACES = {"checkpoint", "reference", "third", "snapshots"}
FILES = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model"]
Tell = Callable[[str], None]


class OtherSpec(Trouble):
    """The spec on this machine is not the one that the server waits for."""


class OtherWeights(Trouble):
    """The weights on this machine are not those that the run starts from."""


class Inputs:
    """Brings everything into `folder` and says where it is."""

    def __init__(self, line: ReportLine, started: dict[str, Any], folder: Path, tell: Tell) -> None:
        self.line, self.started, self.folder, self.tell = line, started, folder, tell

    def spec(self, given: Path | None, checkpoint: str | None, reference: str | None) -> Spec:
        """The run's spec with places of this machine.

        A folder or a hub id may stand for each checkpoint, and a spec file for both: it must say what the server's
        does, and its paths are used where they exist.  Raises OtherSpec, OtherWeights, Away, Refused, TrainingError.
        """
        mine = read_spec(given) if given else None
        if mine is not None:
            self._require_same(mine)
        places: dict[str, Any] = {"reference": None}
        for role, named in (("checkpoint", checkpoint), ("reference", reference)):
            if self.started[role] is None:
                continue
            path: Path | None = getattr(mine, role) if mine is not None else None
            given_here = str(path) if path is not None and path.is_dir() else None
            places[role] = self._weights(role, self.started[role], named or given_here)
        third = mine.third if mine is not None else {}
        here = {name: str(path) for name, path in third.items() if path.is_dir()}
        places["third"] = {
            name: str(self._weights(name, found, here.get(name))) for name, found in self.started["third"].items()
        }
        data = mine.snapshots[0].path if mine is not None else None
        places["snapshots"] = [{"path": str(data if data is not None and self._is_data(data) else self._data())}]
        try:
            return Spec.model_validate({**self.started["recipe"], **places})
        except ValidationError as error:
            raise bad_spec(error) from error

    def _require_same(self, mine: Spec) -> None:
        try:
            places = {
                "checkpoint": ".",
                "third": dict.fromkeys(self.started["third"], "."),
                "snapshots": [{"path": "."}],
            }
            theirs = Spec.model_validate({**self.started["recipe"], **places})
        except ValidationError as error:
            raise bad_spec(error) from error
        ours, expected = (spec.model_dump(mode="json", exclude=PLACES) for spec in (mine, theirs))
        different = sorted(name for name in expected if ours.get(name) != expected[name])
        if different:
            raise OtherSpec(
                f"This spec differs from the run's in {', '.join(different)}. Only paths may differ; launch a new run "
                "to train with other settings."
            )

    def _is_data(self, folder: Path) -> bool:
        try:
            manifest = json.loads((folder / "manifest.json").read_bytes())
        except (OSError, ValueError):
            return False
        return isinstance(manifest, dict) and manifest.get("hash") == self.started["snapshot"]["hash"]

    def _data(self) -> Path:
        folder = self.folder / "snapshot"
        for file in self.started["snapshot"]["files"]:
            self._fetch(f"snapshot/{file['name']}", folder / file["name"], file)
        return folder

    def _weights(self, role: str, wanted: dict[str, Any], named: str | None) -> Path:
        links = wanted["links"]
        if named is not None:
            folder = Path(named).resolve() if Path(named).is_dir() else self._from_hub(named, wanted)
            _require_same_weights(folder, links[0])
            return folder
        base: Path | None = None
        for number in reversed(range(len(links))):
            folder = self.folder / role / str(number)
            for file in links[number]:
                self._fetch(f"weights/{role}/{number}/{file['name']}", folder / file["name"], file)
            if base is not None:
                _name_base(folder / ADAPTER, base)
            base = folder
        if base is None or not links[0]:
            how = f"--{role}" if role in ("checkpoint", "reference") else f"as third.{role} of a --spec"
            raise OtherWeights(f"The server has no weights of “{wanted['name']}”. Name them: {how}")
        return base

    def _fetch(self, path: str, to: Path, file: dict[str, Any]) -> None:
        if not to.exists():
            self.tell(f"Fetching {to.name} ({file['size']:,} bytes)")
            self.line.download(path, to, file["size"], file.get("sha256"))

    def _from_hub(self, hub_id: str, weights: dict[str, Any]) -> Path:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError

        why = barred()
        if why is not None:
            raise OtherWeights(f"{hub_id} is no folder here. {why[0]}")
        self.tell(f"Fetching {hub_id} from the hub")
        revision = weights["revision"] if weights["hub_id"] == hub_id else None
        try:
            return Path(snapshot_download(hub_id, revision=revision, allow_patterns=FILES))
        except (HfHubHTTPError, HFValidationError, OSError) as error:
            raise OtherWeights(f"{hub_id} is neither a folder here nor to be had from the hub.") from error


def _require_same_weights(folder: Path, expected: list[dict[str, Any]]) -> None:
    """The server knows names and sizes of what the run starts from; other weights would make its lineage a lie."""
    for file in expected:
        if not file["name"].endswith(".safetensors"):
            continue
        path = folder / file["name"]
        if not path.is_file() or path.stat().st_size != file["size"]:
            raise OtherWeights(
                f"{folder} does not hold the checkpoint that the run starts from: {file['name']} of "
                f"{file['size']:,} bytes is missing there."
            )


def _name_base(config: Path, base: Path) -> None:
    adapter = json.loads(config.read_text("utf-8"))
    config.write_text(json.dumps({**adapter, "base_model_name_or_path": str(base.resolve())}), encoding="utf-8")
