"""The line from a training machine to the server: every request with the token, each failure told apart."""

import hashlib
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from plumbline.services import Trouble

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
TIMEOUT = httpx2.Timeout(30.0, connect=10.0)
DOWNLOAD_PAUSES = (1.0, 5.0, 15.0, 30.0)
BLOCK = 1 << 20


class NotHttps(Trouble):
    """The token would travel in the clear."""


class Away(Exception):
    """The server did not answer, or not sensibly: the same may be asked again later."""


class Refused(Exception):
    """The server said no, and will say so again: `kind` is the name of the rule."""

    def __init__(self, status: int, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.kind, self.sentence = status, kind, sentence


class ReportLine:
    """Requests about one run. `reporter` is this program's own id, the same when it is started again."""

    def __init__(self, url: str, token: str, reporter: uuid.UUID, *, allow_http: bool = False) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise NotHttps(f"{url} is no address of a run. Copy it from the run's page.")
        if parts.scheme == "http" and parts.hostname not in LOOPBACK and not allow_http:
            raise NotHttps("The token would travel unprotected. Use https://, or --allow-http in a network you trust.")
        headers = {"Authorization": f"Bearer {token}", "Plumbline-Reporter": str(reporter)}
        self._client = httpx2.Client(base_url=url.rstrip("/") + "/", headers=headers, timeout=TIMEOUT)

    def close(self) -> None:
        self._client.close()

    def ask(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """The answer as JSON.  Raises Away, Refused."""
        try:
            answer = self._client.request(method, path, **request)
        except httpx2.TransportError as error:
            raise Away(f"{type(error).__name__}") from error
        return _checked(answer)

    def download(self, path: str, to: Path, size: int, sha256: str | None) -> None:
        """Afterwards the file is at `to`, whole; a part that is there already is gone on with.

        Raises Away, Refused.
        """
        part = to.with_name(to.name + ".part")
        to.parent.mkdir(parents=True, exist_ok=True)
        for pause in (*DOWNLOAD_PAUSES, None):
            try:
                self._fetch(path, part, size)
            except (httpx2.TransportError, Away) as error:
                if pause is None:
                    raise Away(type(error).__name__) from error
                time.sleep(pause)
            else:
                break
        if sha256 is not None:
            with part.open("rb") as opened:
                if hashlib.file_digest(opened, "sha256").hexdigest() != sha256:
                    part.unlink()
                    raise Away(f"{to.name} was damaged on the way.")
        part.rename(to)

    def _fetch(self, path: str, part: Path, size: int) -> None:
        have = part.stat().st_size if part.exists() else 0
        if have == size:
            return
        headers = {"Range": f"bytes={have}-"} if have else {}
        with self._client.stream("GET", path, headers=headers) as answer:
            if answer.status_code not in (200, 206):
                answer.read()
                _checked(answer)
            with part.open("ab" if answer.status_code == 206 else "wb") as file:
                for block in answer.iter_raw(BLOCK):
                    file.write(block)
        if part.stat().st_size != size:
            if part.stat().st_size > size:
                part.unlink()
            raise Away(f"{part.stem} arrived cut off.")


def _checked(answer: httpx2.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        body = None
    if answer.is_success and isinstance(body, dict):
        return body
    if not isinstance(body, dict) or answer.status_code >= 500 or answer.status_code == 429:
        # A proxy's page, an overload or a restart; a server of ours refuses in JSON.
        raise Away(f"The server answered {answer.status_code}.")
    sentence = f"{body.get('detail') or body.get('title')} {body.get('remedy') or ''}".strip()
    raise Refused(answer.status_code, str(body.get("type", "")).rpartition("/")[2], sentence)
