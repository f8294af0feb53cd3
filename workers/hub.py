"""Downloads a model of a hub into a folder: `python -m workers.hub HUB_ID REVISION FOLDER`, in a process of its own.

It prints one JSON object per line: `{commit, bytes}` once the revision is pinned, and at the end `{done: true}` or
`{reason, remedy}`. `HF_ENDPOINT` and `HF_TOKEN` of the environment name another hub and open gated models. Only weights
in safetensors, configuration and tokenizer are fetched: never a pickle, never code.
"""

import fnmatch
import json
import os
import re
import shutil
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

CONTROL = "PLUMBLINE_CONTROL_FD"
WANTED = ("*.safetensors", "*.json", "*.jinja", "tokenizer.model", "merges.txt", "vocab.txt")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
COMMIT = re.compile(r"[0-9a-f]{40}")
TIMEOUT_SECONDS = 30.0
CONVERT = "Choose a model that is published with safetensors weights."


class Refused(Exception):
    """The model cannot be fetched; `reason` and `remedy` are sentences for people."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason, self.remedy = reason, remedy


def download(hub_id: str, revision: str, folder: Path) -> None:
    """Afterwards `folder` holds the model's files as they were at one commit.  Raises Refused."""
    try:
        info = HfApi().model_info(hub_id, revision=revision, timeout=TIMEOUT_SECONDS, files_metadata=True)
        commit = info.sha or ""
        if not COMMIT.fullmatch(commit):
            raise Refused("The hub named no commit for this revision.", "Name the commit yourself.")
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
        names = choose(sorted(sizes))
        total = sum(sizes[name] for name in names)
        free = shutil.disk_usage(folder).free
        if total > free:
            raise Refused(
                f"The model takes {total / 2**30:,.1f} GiB and {free / 2**30:,.1f} GiB are free.", "Free some space."
            )
        say(commit=commit, bytes=total)
        for name in names:
            hf_hub_download(hub_id, name, revision=commit, local_dir=folder)
    except GatedRepoError as error:
        raise Refused(
            f"“{hub_id}” is gated: its owner decides who may download it.",
            "Ask for access on the hub, then start Plumbline with HF_TOKEN set.",
        ) from error
    except RevisionNotFoundError as error:
        raise Refused(f"“{hub_id}” has no revision “{revision}”.", "Name a commit, branch or tag it has.") from error
    except RepositoryNotFoundError as error:
        raise Refused(
            f"There is no model “{hub_id}” on the hub, or it is private.",
            "Check the spelling; for a private model start Plumbline with HF_TOKEN set.",
        ) from error
    except (OfflineModeIsEnabled, LocalEntryNotFoundError, httpx2.TransportError) as error:
        raise Refused(
            f"The hub at {endpoint()} cannot be reached from this machine.",
            "Check the network, set HF_ENDPOINT to a mirror, or copy the model into an allowed folder.",
        ) from error
    except HfHubHTTPError as error:
        raise Refused(f"The hub answered {error.response.status_code}.", "Try again later.") from error
    shutil.rmtree(folder / ".cache", ignore_errors=True)


def choose(names: Sequence[str]) -> list[str]:
    """The files to fetch. Raises Refused when they cannot make a checkpoint, before anything large is fetched."""
    plain = [name for name in names if "/" not in name and "\\" not in name and not name.startswith(".")]
    if "config.json" not in plain:
        what = "an adapter, which needs its base" if "adapter_config.json" in plain else "not a transformers model"
        raise Refused(f"This repository is {what}: it has no config.json.", "Choose a whole model.")
    if not any(name.endswith(".safetensors") for name in plain):
        pickled = any(fnmatch.fnmatch(name, pattern) for name in plain for pattern in PICKLES)
        why = "Its weights are pickles, which can run any code when loaded" if pickled else "It has no safetensors file"
        raise Refused(f"{why}.", CONVERT)
    if "tokenizer.json" not in plain and "tokenizer.model" not in plain:
        raise Refused("It has no tokenizer.", "Choose a model that is published with its tokenizer.")
    return [name for name in plain if any(fnmatch.fnmatch(name, pattern) for pattern in WANTED)]


def endpoint() -> str:
    """Which hub is asked."""
    return os.environ.get("HF_ENDPOINT") or "https://huggingface.co"


def say(**facts: Any) -> None:
    """One line for the worker."""
    print(json.dumps(facts), flush=True)


def die_with_worker() -> None:
    """End this process when the worker closes its end of the control pipe, or dies."""
    number = os.environ.get(CONTROL)
    if number is None:
        return

    def watch(descriptor: int) -> None:
        while os.read(descriptor, 1024):
            pass
        os._exit(0)

    threading.Thread(target=watch, args=(int(number),), daemon=True).start()


def main(arguments: Sequence[str]) -> int:
    """The command line."""
    hub_id, revision, folder = arguments
    die_with_worker()
    try:
        download(hub_id, revision, Path(folder))
    except Refused as refused:
        say(reason=refused.reason, remedy=refused.remedy)
        return 1
    say(done=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
