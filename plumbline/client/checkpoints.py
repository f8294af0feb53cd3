"""Checkpoints: found, registered, fetched from a hub, asked through an endpoint."""

from collections.abc import Callable, Iterator

from plumbline.client.line import Ref, id_of, optional_id
from plumbline.client.noun import Noun
from plumbline.client.schemas import CheckpointOut, EndpointTestOut, FetchOut, HubModelOut, LineageOut


class Checkpoints(Noun):
    """`client.checkpoints`."""

    def list(self, run: Ref | None = None) -> Iterator[CheckpointOut]:
        """Every checkpoint, newest first; a run's own when it is named."""
        return self._line.pages("/checkpoints", CheckpointOut, run_id=optional_id(run))

    def get(self, checkpoint: Ref) -> CheckpointOut:
        """One checkpoint."""
        return self._line.get(f"/checkpoints/{id_of(checkpoint)}", CheckpointOut)

    def lineage(self, checkpoint: Ref) -> LineageOut:
        """What it came from, and what has been done with it."""
        return self._line.get(f"/checkpoints/{id_of(checkpoint)}/lineage", LineageOut)

    def register(self, folder: str, name: str | None = None, *, chat_template: str | None = None) -> CheckpointOut:
        """Make a folder of the server, inside one of its allowed roots, a checkpoint."""
        body = {"folder": folder, "name": name, "chat_template": chat_template}
        return self._line.create("/checkpoints", CheckpointOut, body)

    def give_template(self, checkpoint: Ref, chat_template: str) -> CheckpointOut:
        """Give a chat template to a checkpoint that has none of its own."""
        path, body = f"/checkpoints/{id_of(checkpoint)}/chat-template", {"chat_template": chat_template}
        return self._line.post(path, CheckpointOut, body)

    def endpoint(
        self,
        base_url: str,
        model: str,
        name: str | None = None,
        *,
        secret: str | None = None,
        concurrency: int | None = None,
        timeout_seconds: float | None = None,
    ) -> CheckpointOut:
        """Register a model of an OpenAI-compatible server; `secret` names the project's secret with its key."""
        body = {
            "base_url": base_url,
            "model": model,
            "name": name,
            "secret": secret,
            "concurrency": concurrency,
            "timeout_seconds": timeout_seconds,
        }
        return self._line.create("/endpoints", CheckpointOut, body)

    def test(self, checkpoint: Ref) -> EndpointTestOut:
        """Ask an endpoint for one answer."""
        return self._line.post(f"/checkpoints/{id_of(checkpoint)}/test", EndpointTestOut)

    def look_at_hub(self, hub_id: str, *, revision: str = "main", secret: str | None = None) -> HubModelOut:
        """What a download would be: license, files, room, and why it would be refused."""
        return self._line.get("/hub/models", HubModelOut, hub_id=hub_id, revision=revision, secret=secret)

    def fetch(
        self,
        hub_id: str,
        name: str | None = None,
        *,
        revision: str = "main",
        secret: str | None = None,
        chat_template: str | None = None,
    ) -> FetchOut:
        """Have a model of a hub downloaded; `wait` tells when it is a checkpoint."""
        body = {
            "hub_id": hub_id,
            "name": name,
            "revision": revision,
            "secret": secret,
            "chat_template": chat_template,
        }
        return self._line.create("/fetches", FetchOut, body)

    def wait(
        self, fetch: Ref, tell: Callable[[FetchOut], None] | None = None, *, seconds: float | None = None
    ) -> CheckpointOut:
        """The checkpoint once it has arrived.  Raises NotSucceeded, TookTooLong."""
        path = f"/fetches/{id_of(fetch)}"
        ended = self._until_ended(lambda: self._line.get(path, FetchOut), tell, seconds)
        return self.get(str(ended.checkpoint_id))

    def cancel_fetch(self, fetch: Ref) -> FetchOut:
        """Stop a download; nothing of it is kept."""
        return self._line.post(f"/fetches/{id_of(fetch)}/cancel", FetchOut)

    def resume_fetch(self, fetch: Ref, *, secret: str | None = None) -> FetchOut:
        """Let a download that failed go on where it broke off."""
        return self._line.post(f"/fetches/{id_of(fetch)}/resume", FetchOut, {"secret": secret})
