"""Uploads one export to a hub in a process of its own: `python -m workers.pusher FOLDER REPO_ID public|private`.

It prints one JSON object per line: `{bytes}` as files arrive, and at the end `{done: true, commit, url}` or
`{reason, remedy}`. `HF_ENDPOINT` names another hub, `HF_TOKEN` is the token. Everything becomes visible with one commit
at the end: what is cut off before is not seen by anybody.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx2
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from backend.checkpoints.hub_errors import Refused
from backend.leash import die_with_parent
from backend.offline import barred
from workers.hub import say

MESSAGE = "Upload an export of Plumbline"
RIGHTS = "Make a token with write access to this repository on the hub, and set it as the project's secret."
DENIED = (401, 403)


def upload(folder: Path, repo_id: str, *, private: bool) -> None:
    """Afterwards the repository's newest commit holds the folder's files.  Raises Refused."""
    why = barred()
    if why is not None:
        raise Refused(*why)
    api = HfApi(token=os.environ.get("HF_TOKEN"))
    try:
        there = _make(api, repo_id, private=private)
        _send(api, folder, repo_id, there)
    except httpx2.TransportError as error:
        raise Refused(
            f"The hub at {api.endpoint} cannot be reached from this machine, or broke off.",
            "Check the network, then upload it again: files that have arrived are not sent twice.",
        ) from error
    except RepositoryNotFoundError as error:
        raise Refused(f"The token may not write to “{repo_id}”, or it does not exist.", RIGHTS) from error
    except HfHubHTTPError as error:
        raise _named(error, repo_id) from error
    except RuntimeError as error:  # what the library makes of a large file that did not arrive
        cause = error.__cause__
        if isinstance(cause, HfHubHTTPError):
            raise _named(cause, repo_id) from error
        raise Refused("A file could not be uploaded.", "Upload it again.") from error
    except ValueError as error:
        raise Refused("The hub answered something that it should not.", "Upload it again, or ask its owner.") from error


def _make(api: HfApi, repo_id: str, *, private: bool) -> set[str]:
    """Afterwards the repository exists; the names of the files in it.

    Raises Refused when a private one is wanted and a public one is there.
    """
    api.create_repo(repo_id, private=private, exist_ok=True)
    found = api.model_info(repo_id)
    if private and not found.private:
        raise Refused(
            f"“{repo_id}” exists already and everybody can see it.",
            "Choose another name, make it private on the hub, or upload it as public.",
        )
    return {file.rfilename for file in found.siblings or []}


def _send(api: HfApi, folder: Path, repo_id: str, there: set[str]) -> None:
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    additions, arrived = [], 0
    for name, path in sorted(files.items(), key=lambda file: file[1].stat().st_size):
        addition = CommitOperationAdd(name, path)
        api.preupload_lfs_files(repo_id, [addition])
        additions.append(addition)
        arrived += path.stat().st_size
        say(bytes=arrived)
    stale = [CommitOperationDelete(name) for name in sorted(there - files.keys()) if _is_weights(name)]
    done = api.create_commit(repo_id, [*additions, *stale], commit_message=MESSAGE)
    say(done=True, commit=done.oid, url=f"{api.endpoint}/{repo_id}")


def _is_weights(name: str) -> bool:
    """Whether a file of the repository is weights of an earlier upload, which must not lie beside these."""
    return "/" not in name and name.endswith((".safetensors", ".safetensors.index.json"))


def _named(error: HfHubHTTPError, repo_id: str) -> Refused:
    status = error.response.status_code
    if status in DENIED:
        who = "does not know this token" if status == 401 else f"does not let this token write to “{repo_id}”"
        return Refused(f"The hub {who}.", RIGHTS)
    if status == 429:
        return Refused("The hub asks for a pause: too many requests.", "Try again in some minutes.")
    return Refused(f"The hub answered {status}.", "Try again later.")


def main(arguments: Sequence[str]) -> int:
    """The command line."""
    folder, repo_id, visibility = arguments
    die_with_parent()
    try:
        upload(Path(folder), repo_id, private=visibility != "public")
    except Refused as refused:
        say(reason=refused.reason, remedy=refused.remedy)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
