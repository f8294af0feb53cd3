"""Datasets and their snapshots: in, looked at, frozen, and out."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from plumbline.client.line import Ref, id_of, optional_id
from plumbline.client.noun import Noun, Spec
from plumbline.client.schemas import (
    ConversionOut,
    ConvertedOut,
    ConvertPreviewOut,
    DatasetBrief,
    DatasetDetail,
    DatasetOut,
    HubDatasetOut,
    ImportDetail,
    ImportOut,
    ItemOut,
    LossesOut,
    PolicyPreviewOut,
    SnapshotLabelOut,
    SnapshotOut,
    UploadOut,
)

Split = Literal["train", "validation", "test"]


class Datasets(Noun):
    """`client.datasets`."""

    def list(self, search: str | None = None) -> Iterator[DatasetOut | DatasetBrief]:
        """Every dataset, newest first; annotators see names and numbers only."""
        return self._line.pages("/datasets", DatasetOut | DatasetBrief, search=search)  # type: ignore[arg-type]

    def get(self, dataset: Ref) -> DatasetDetail | DatasetBrief:
        """One dataset."""
        return self._line.get(f"/datasets/{id_of(dataset)}", DatasetDetail | DatasetBrief)  # type: ignore[arg-type]

    def items(self, dataset: Ref, *, split: Split | None = None, search: str | None = None) -> Iterator[ItemOut]:
        """Every item, in order, with the labels that count."""
        path = f"/datasets/{id_of(dataset)}/items"
        return self._line.pages(path, ItemOut, split=split, search=search, limit=200)

    def import_file(self, path: Path | str, name: str | None = None, **settings: Any) -> ImportOut:
        """Send a file and have it read into a new dataset; the rest as in `import_upload`."""
        path = Path(path)
        with path.open("rb") as file:
            upload = self._upload(path.name, file)
        return self.import_upload(upload, name or path.stem, **settings)

    def import_rows(self, rows: Iterable[Mapping[str, Any]], name: str, **settings: Any) -> ImportOut:
        """The same with rows of this program, each as a JSON object in one of the formats that files have."""
        lines = (json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
        return self.import_upload(self._upload("rows.jsonl", lines), name, **settings)

    def look_at_hub(self, hub_id: str, *, revision: str = "main", secret: str | None = None) -> HubDatasetOut:
        """What a hub says of a dataset before it is taken."""
        return self._line.get("/hub/datasets", HubDatasetOut, hub_id=hub_id, revision=revision, secret=secret)

    def import_hub(
        self,
        hub_id: str,
        split: str,
        name: str,
        *,
        config: str | None = None,
        revision: str = "main",
        secret: str | None = None,
        **settings: Any,
    ) -> ImportOut:
        """The same with a split of a hub's dataset, at the commit that `revision` names now."""
        found = self.look_at_hub(hub_id, revision=revision, secret=secret)
        chosen = config or next((one for one, splits in found.configs.items() if split in splits), "default")
        body = {"hub_id": hub_id, "commit": found.commit, "config": chosen, "split": split, "secret": secret}
        return self.import_upload(self._line.create("/uploads/hub", UploadOut, body), name, **settings)

    def import_upload(
        self,
        upload: Ref,
        name: str,
        *,
        format: str | None = None,
        columns: Spec | None = None,
        survey: Spec | None = None,
        abort_on_bad_row: bool = False,
        again: bool = False,
    ) -> ImportOut:
        """Have an upload read into a new dataset; `wait` tells when it is there.

        The format is detected unless named.  What has been imported before is a Conflict, unless `again`.
        """
        body = {
            "upload_id": id_of(upload),
            "name": name,
            "format": format,
            "columns": columns,
            "survey": survey,
            "abort_on_bad_row": abort_on_bad_row,
            "again": again,
        }
        return self._line.create("/imports", ImportOut, body)

    def wait(
        self, started: Ref, tell: Callable[[ImportDetail], None] | None = None, *, seconds: float | None = None
    ) -> ImportDetail:
        """The import once its dataset is there, as `dataset_id`.  Raises NotSucceeded, TookTooLong."""
        path = f"/imports/{id_of(started)}"
        return self._until_ended(lambda: self._line.get(path, ImportDetail), tell, seconds)

    def cancel_import(self, started: Ref) -> ImportOut:
        """Ask for the end of an import; nothing of it is kept."""
        return self._line.post(f"/imports/{id_of(started)}/cancel", ImportOut)

    def losses(
        self,
        dataset: Ref,
        format: str = "native",
        *,
        style: str | None = None,
        rule: str | None = None,
        both_bad: str | None = None,
        **policy: Any,
    ) -> LossesOut:
        """What an export would lose; arguments as in `export`."""
        path = f"/datasets/{id_of(dataset)}/export/losses"
        return self._line.get(path, LossesOut, format=format, style=style, rule=rule, both_bad=both_bad, **policy)

    def export(
        self,
        dataset: Ref,
        to: Path | str,
        format: str = "native",
        *,
        style: str | None = None,
        rule: str | None = None,
        both_bad: str | None = None,
        **policy: Any,
    ) -> Path:
        """Write the dataset to a file; one that is there is replaced once the new one is whole.

        `policy` is how labels decide, as in `client.snapshots.freeze`: `sources="people", min_votes=2`.
        """
        path = f"/datasets/{id_of(dataset)}/export"
        told = {"format": format, "style": style, "rule": rule, "both_bad": both_bad, **policy}
        return self._line.download(path, Path(to), **told)

    def conversions(self, dataset: Ref) -> tuple[ConversionOut, ...]:
        """What can be made of the dataset's items, each with the schema of its rule."""
        return self._line.get(f"/datasets/{id_of(dataset)}/conversions", tuple[ConversionOut, ...])

    def preview_conversion(self, dataset: Ref, conversion: Spec) -> ConvertPreviewOut:
        """What a rule would make of the dataset, and what it would leave out: `{"name": "pairs_to_thumbs"}`."""
        path = f"/datasets/{id_of(dataset)}/convert/preview"
        return self._line.post(path, ConvertPreviewOut, {"rule": conversion}, retry="always")

    def convert(self, dataset: Ref, name: str, conversion: Spec) -> ConvertedOut:
        """Make a new dataset of the items of this one, by a stated rule."""
        body = {"name": name, "rule": conversion}
        return self._line.create(f"/datasets/{id_of(dataset)}/convert", ConvertedOut, body)

    def _upload(self, filename: str, content: Any) -> UploadOut:
        return self._line.post("/uploads", UploadOut, retry="never", params={"filename": filename}, content=content)


class Snapshots(Noun):
    """`client.snapshots`."""

    def freeze(self, dataset: Ref, policy: Spec | None = None) -> SnapshotOut:
        """Freeze the pairs of a dataset that are decided; the same again as long as nothing has changed.

        `policy` is how labels decide, `{"sources": "people", "min_votes": 2}`; with `{"task": str(task.id)}` the labels
        of one task of the dataset alone, and those that no task asked for.
        """
        return self._line.create(f"/datasets/{id_of(dataset)}/snapshots", SnapshotOut, {"policy": policy})

    def preview(self, dataset: Ref, policy: Spec | None = None) -> PolicyPreviewOut:
        """How many examples a policy gives, and others that differ in one choice, and what is left out."""
        path = f"/datasets/{id_of(dataset)}/snapshots/preview"
        return self._line.post(path, PolicyPreviewOut, {"policy": policy or {}}, retry="always")

    def list(self, dataset: Ref | None = None) -> Iterator[SnapshotOut]:
        """Every snapshot, newest first."""
        return self._line.pages("/snapshots", SnapshotOut, dataset_id=optional_id(dataset))

    def get(self, snapshot: Ref) -> SnapshotOut:
        """One snapshot."""
        return self._line.get(f"/snapshots/{id_of(snapshot)}", SnapshotOut)

    def labels(self, snapshot: Ref) -> Iterator[SnapshotLabelOut]:
        """The labels that decided its examples."""
        return self._line.pages(f"/snapshots/{id_of(snapshot)}/labels", SnapshotLabelOut)
