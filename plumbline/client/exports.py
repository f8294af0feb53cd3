"""Exports: a checkpoint as files for others, downloaded or uploaded to a hub."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from plumbline.client.line import Ref, id_of, optional_id
from plumbline.client.noun import Noun
from plumbline.client.schemas import ExportOut, PushOut


class Exports(Noun):
    """`client.exports`."""

    def make(
        self,
        checkpoint: Ref,
        kind: Literal["merged", "adapter"] = "merged",
        *,
        dtype: Literal["as_trained", "bf16"] = "as_trained",
    ) -> ExportOut:
        """Have a checkpoint written for others and compared with what it came from; `wait` tells when it is there."""
        body = {"checkpoint_id": id_of(checkpoint), "kind": kind, "dtype": dtype}
        return self._line.create("/exports", ExportOut, body)

    def list(self, checkpoint: Ref | None = None) -> Iterator[ExportOut]:
        """Every export, newest first."""
        return self._line.pages("/exports", ExportOut, checkpoint_id=optional_id(checkpoint))

    def get(self, export: Ref) -> ExportOut:
        """One export with its files and the commands that serve it."""
        return self._line.get(f"/exports/{id_of(export)}", ExportOut)

    def wait(
        self, export: Ref, tell: Callable[[ExportOut], None] | None = None, *, seconds: float | None = None
    ) -> ExportOut:
        """The export once its files are there.  Raises NotSucceeded, TookTooLong."""
        return self._until_ended(lambda: self.get(export), tell, seconds)

    def cancel(self, export: Ref) -> ExportOut:
        """Stop an export; nothing of it is kept."""
        return self._line.post(f"/exports/{id_of(export)}/cancel", ExportOut)

    def delete(self, export: Ref) -> None:
        """Delete an export and free its disk."""
        self._line.ask("DELETE", f"/exports/{id_of(export)}")

    def download(self, export: Ref, to: Path | str) -> Path:
        """Write the export's archive (tar) to a file; a download that broke off goes on where it was.

        Raises Conflict or NotFound where the files are not there, or not yet.
        """
        found = self.get(export)
        path, tag = f"/exports/{found.id}/archive", f'"{found.id}"'
        return self._line.download(path, Path(to), size=found.archive_bytes, tag=tag)

    def push(self, export: Ref, repo_id: str, secret: str, *, private: bool = True) -> PushOut:
        """Upload an export to a hub; `secret` names the project's secret with the hub's token."""
        body = {"repo_id": repo_id, "secret": secret, "private": private}
        return self._line.create(f"/exports/{id_of(export)}/pushes", PushOut, body)

    def wait_for_push(
        self, push: Ref, tell: Callable[[PushOut], None] | None = None, *, seconds: float | None = None
    ) -> PushOut:
        """The upload once the hub has it.  Raises NotSucceeded, TookTooLong."""
        path = f"/pushes/{id_of(push)}"
        return self._until_ended(lambda: self._line.get(path, PushOut), tell, seconds)
