"""A model hub as it is asked: what a model is before anything large is fetched, and its files from any byte on.

`HF_ENDPOINT` names another hub than the public one; `backend.offline` says when none may be asked. What a hub says is
not trusted: answers are bounded, names are plain, and the token goes to the hub's own address alone.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import httpx2

from backend.addresses import permitted
from backend.checkpoints.hub_address import endpoint
from backend.checkpoints.hub_errors import Away, Lied, Refused, refusal
from backend.offline import barred
from backend.outbound import resolve

LISTING_BYTES = 20 << 20
SMALL_FILE_BYTES = 32 << 20
REDIRECTS = 5
TIMEOUT = httpx2.Timeout(30, connect=10)
COMMIT = re.compile(r"[0-9a-f]{40}")
SHA256 = re.compile(r"[0-9a-f]{64}")
JSON_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "chat_template.json",
    "processor_config.json",
    "preprocessor_config.json",
)
OTHERS = ("chat_template.jinja", "tokenizer.model", "spiece.model", "merges.txt", "vocab.txt", "readme.md")
WORDS_OF_LAW = ("license", "licence", "notice", "use_policy", "acceptable_use_policy")
INDEX = "model.safetensors.index.json"
SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
CONVERT = "Choose a model that is published with safetensors weights."


@dataclass(frozen=True)
class File:
    """A file as the hub states it; `digest` is (kind, hex) with kind `sha256` or `git`, when one is stated."""

    name: str
    size: int
    digest: tuple[str, str] | None


@dataclass(frozen=True)
class Model:
    """A model at one commit; `files` are those to be fetched."""

    hub_id: str
    commit: str
    license: str | None
    gated: bool
    private: bool
    stated: dict[str, Any]
    files: tuple[File, ...]
    left_out: tuple[str, ...]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


class Hub:
    """One hub, asked with one token or none. Use as a context manager."""

    def __init__(self, token: str | None) -> None:
        self.endpoint = endpoint()
        why = barred()
        if why is not None:
            raise Refused(*why)
        self._token = token
        self._client = httpx2.Client(
            timeout=TIMEOUT, headers={"accept-encoding": "identity", "user-agent": "plumbline"}
        )

    def __enter__(self) -> "Hub":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def look(self, hub_id: str, revision: str) -> Model:
        """What the hub says of a model.  Raises Refused, also when its files can make no checkpoint."""
        path = f"/api/models/{hub_id}/revision/{quote(revision, safe='')}?blobs=true"
        stated = self._json(hub_id, revision, path, LISTING_BYTES)
        commit = str(stated.get("sha") or "")
        if not COMMIT.fullmatch(commit):
            raise Refused("The hub named no commit for this revision.", "Name the commit yourself.")
        listed = _files(stated.get("siblings"))
        wanted = choose(sorted(listed))
        return Model(
            hub_id=hub_id,
            commit=commit,
            license=_license(stated),
            gated=bool(stated.get("gated")),
            private=bool(stated.get("private")),
            stated=stated,
            files=tuple(_sized(listed[name]) for name in wanted),
            left_out=tuple(sorted(set(listed) - set(wanted))),
        )

    def look_at_dataset(self, hub_id: str, revision: str) -> Model:
        """What the hub says of a dataset; `files` are all of its files.  Raises Refused."""
        path = f"/api/datasets/{hub_id}/revision/{quote(revision, safe='')}?blobs=true"
        stated = self._json(hub_id, revision, path, LISTING_BYTES)
        commit = str(stated.get("sha") or "")
        if not COMMIT.fullmatch(commit):
            raise Refused("The hub named no commit for this revision.", "Name the commit yourself.")
        return Model(
            hub_id=hub_id,
            commit=commit,
            license=_license(stated),
            gated=bool(stated.get("gated")),
            private=bool(stated.get("private")),
            stated=stated,
            files=tuple(_sized(one) for one in _files(stated.get("siblings")).values()),
            left_out=(),
        )

    def read_json(self, model: Model, name: str) -> dict[str, Any]:
        """A small JSON file of the model.  Raises Refused."""
        return self._json(model.hub_id, model.commit, _resolve(model.hub_id, model.commit, name), SMALL_FILE_BYTES)

    @contextmanager
    def open(self, hub_id: str, commit: str, name: str, start: int) -> Iterator[httpx2.Response]:
        """A file's bytes from `start` on, as the answer to read them from.  Raises Refused, Busy, Away."""
        headers = {"range": f"bytes={start}-"} if start else {}
        with self._get(hub_id, commit, _resolve(hub_id, commit, name), headers) as response:
            yield response

    def _json(self, hub_id: str, revision: str, path: str, limit: int) -> dict[str, Any]:
        raw = bytearray()
        with self._get(hub_id, revision, path, {}) as response:
            for chunk in pieces(response):
                raw += chunk
                if len(raw) > limit:
                    raise Lied("An answer of the hub is larger than any of its kind.")
        try:
            found = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise Lied("An answer of the hub is no readable JSON.") from error
        if not isinstance(found, dict):
            raise Lied("An answer of the hub is no table of facts.")
        return found

    @contextmanager
    def _get(self, hub_id: str, revision: str, path: str, headers: dict[str, str]) -> Iterator[httpx2.Response]:
        url = self.endpoint + path
        try:
            for _ in range(REDIRECTS + 1):
                own = _place(url) == _place(self.endpoint)
                token = {"authorization": f"Bearer {self._token}"} if self._token and own else {}
                with self._client.stream("GET", url, headers=headers | token) as response:
                    if response.is_redirect and "location" in response.headers:
                        url = self._next(url, response.headers["location"])
                        continue
                    if not response.is_success:
                        raise refusal(self.endpoint, hub_id, revision, response, token=self._token is not None)
                    if response.headers.get("content-encoding", "identity") != "identity":
                        raise Lied("The hub packs its answers though it was asked not to.")
                    yield response
                    return
        except (httpx2.TransportError, httpx2.InvalidURL) as error:
            raise Away(self.endpoint) from error
        raise Lied("The hub sends its visitors in circles.")

    def _next(self, url: str, location: str) -> str:
        """Where a redirect leads: never to a plain-text copy, nor from a public hub into a private network."""
        target = urljoin(url, location)
        parts = urlsplit(target)
        if parts.scheme not in ("http", "https") or (url.startswith("https:") and parts.scheme != "https"):
            raise Lied("The hub sends its visitors on to an address that is not safe.")
        if _place(target) != _place(self.endpoint) and _private(target) and not _private(self.endpoint):
            raise Lied("The hub sends its visitors on into a private network.")
        return target


def token_of_environment() -> str | None:
    """The token that whoever started the program has set."""
    return os.environ.get("HF_TOKEN") or None


def pieces(response: httpx2.Response) -> Iterator[bytes]:
    """The bytes of an answer as they come.  Raises Away when the connection breaks."""
    try:
        yield from response.iter_raw()  # as they come: what is gathered in memory is lost when the connection breaks
    except httpx2.TransportError as error:
        raise Away(str(response.url.host), "The connection to the hub broke off again and again.") from error


def choose(names: list[str]) -> list[str]:
    """The files to fetch. Raises Refused when they cannot make a checkpoint, before anything large is fetched."""
    plain = [name for name in names if _is_plain(name)]
    if "config.json" not in plain:
        what = "an adapter, which needs its base" if "adapter_config.json" in plain else "not a transformers model"
        raise Refused(f"This repository is {what}: it has no config.json.", "Choose a whole model.")
    weights = _weights(plain)
    if not weights:
        pickled = any(name.endswith(PICKLES) for name in plain)
        why = "Its weights are pickles, which can run any code when loaded" if pickled else "It has no safetensors file"
        raise Refused(f"{why}.", CONVERT)
    if not any(name in plain for name in ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")):
        raise Refused("It has no tokenizer.", "Choose a model that is published with its tokenizer.")
    beside = [name for name in plain if name in (*JSON_FILES, INDEX) or _is_beside(name)]
    return sorted({*weights, *beside})


def _weights(plain: list[str]) -> list[str]:
    """One copy of the weights: repositories often hold a second one in another split or precision."""
    shards = [name for name in plain if SHARD.fullmatch(name)]
    if INDEX in plain and shards:
        return shards
    if "model.safetensors" in plain:
        return ["model.safetensors"]
    return [name for name in plain if name.endswith(".safetensors") and not name.startswith("adapter_model")]


def _is_plain(name: str) -> bool:
    """A name in the top folder that can harm nobody."""
    return (
        name.isprintable()
        and len(name) <= 200
        and not name.startswith((".", "-"))
        and not set(name) & set('/\\:*?"<>|')
    )


def _is_beside(name: str) -> bool:
    lower = name.lower()
    stem = lower.partition(".")[0]
    return lower in OTHERS or (stem in WORDS_OF_LAW and lower.removeprefix(stem) in ("", ".txt", ".md"))


def _files(siblings: Any) -> dict[str, dict[str, Any]]:
    if not isinstance(siblings, list) or not all(isinstance(one, dict) for one in siblings):
        raise Lied("The hub's list of files is none.")
    return {str(one.get("rfilename", "")): one for one in siblings}


def _sized(stated: dict[str, Any]) -> File:
    lfs = stated.get("lfs") if isinstance(stated.get("lfs"), dict) else {}
    assert isinstance(lfs, dict)  # noqa: S101  (by the line above)
    name, size = str(stated["rfilename"]), stated.get("size", lfs.get("size"))
    if type(size) is not int or size < 0:
        raise Lied(f"The hub does not state the size of {name}.")
    digest = None
    if SHA256.fullmatch(str(lfs.get("sha256", ""))):
        digest = ("sha256", str(lfs["sha256"]))
    elif not lfs and COMMIT.fullmatch(str(stated.get("blobId", ""))):
        digest = ("git", str(stated["blobId"]))
    return File(name, size, digest)


def _license(stated: dict[str, Any]) -> str | None:
    card = stated.get("cardData")
    found = card.get("license_name") or card.get("license") if isinstance(card, dict) else None
    if isinstance(found, list):
        found = ", ".join(str(one) for one in found)
    if not found:
        tags = stated.get("tags")
        words = [str(tag) for tag in tags if str(tag).startswith("license:")] if isinstance(tags, list) else []
        found = words[0].removeprefix("license:") if words else None
    return str(found)[:200] if found else None


def _resolve(hub_id: str, commit: str, name: str) -> str:
    return f"/{hub_id}/resolve/{commit}/{quote(name, safe='')}"


def _place(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _private(url: str) -> bool:
    """Whether a host is of a private network. One that only a proxy can resolve is none."""
    _, host, port = _place(url)
    found = resolve(host or "", port or 0)
    return bool(found) and not all(permitted(address, port or 0, ()) for address in found)
