"""Asks a hub for a dataset through the library `datasets`: `python -m backend.datasets.hub_rows`, a process of its own.

It takes one job as JSON on its input and prints JSON lines. `look` gives the splits of every configuration; `rows`
writes the rows of a split at one commit, streamed, to a file, telling how many bytes there are; the last line says
`{"done": …}` or `{"refused": [reason, remedy]}`. Only plain tables are read (Parquet, JSON, CSV, Arrow, text): no code
of a repository ever runs, and nothing is unpickled. `HF_ENDPOINT` and `HF_TOKEN` of the environment are hub and token.
"""

import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from backend.leash import die_with_parent

MEMORY_BYTES = 8 << 30
READERS = ("parquet", "json", "csv", "arrow", "text")
TELL_EVERY = 500


class Unreadable(Exception):
    """The dataset is none that can be read."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason, self.remedy = reason, remedy


def main() -> int:
    """Do the one job of this process."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    die_with_parent()
    job = orjson.loads(sys.stdin.buffer.read())
    try:
        done: Any = look(**job) if job.pop("do") == "look" else rows(**job)
    except Unreadable as refused:
        _say({"refused": [refused.reason, refused.remedy]})
    except MemoryError:
        _say({"refused": ["Its rows take more memory than there is.", "Download it, and import its files."]})
    except Exception as error:  # noqa: BLE001  (whatever the library raises: the parent says it in words)
        print(repr(error), file=sys.stderr)
        _say({"refused": list(_in_words(error))})
    else:
        _say({"done": done})
    sys.stdout.flush()
    os._exit(0)  # threads of the library may wait for an answer that nobody needs


def look(hub_id: str, commit: str) -> dict[str, list[str]]:
    """The splits of every configuration."""
    import datasets

    names = datasets.get_dataset_config_names(hub_id, revision=commit)
    return {name: list(_builder(hub_id, commit, name).config.data_files or {}) for name in names[:100]}


def rows(hub_id: str, commit: str, config: str, split: str, path: str, most_bytes: int, most_rows: int | None) -> int:
    """Write the split's rows as JSON lines; returns how many.  Ends at `most_rows`, refuses more than `most_bytes`."""
    written = size = 0
    with Path(path).open("xb") as out:
        for row in _stream(hub_id, commit, config, split):
            line = orjson.dumps(row, default=_plain) + b"\n"
            size += len(line)
            if size > most_bytes:
                raise Unreadable(f"Its rows are more than {most_bytes:,} bytes.", "Raise PLUMBLINE_MAX_UPLOAD_BYTES.")
            out.write(line)
            written += 1
            if written % TELL_EVERY == 0:
                _say({"bytes": size, "rows": written})
            if written == most_rows:
                break
    if not written:
        raise Unreadable("The split holds no rows.", "Choose another split.")
    return written


def _stream(hub_id: str, commit: str, config: str, split: str) -> Iterator[dict[str, Any]]:
    import datasets

    builder = _builder(hub_id, commit, config)
    if split not in (builder.config.data_files or {}):
        raise Unreadable("There is no such split.", "Choose one of those that are listed.")
    found = builder.as_streaming_dataset(split)
    features = found.features or {}
    for name, feature in features.items():
        if isinstance(feature, datasets.Image | datasets.Audio | datasets.Video):
            found = found.cast_column(name, type(feature)(decode=False))
    yield from found


def _builder(hub_id: str, commit: str, config: str) -> Any:
    """The library's reader of a configuration, if it is one of plain tables.  Raises Unreadable."""
    import datasets

    builder = datasets.load_dataset_builder(hub_id, config, revision=commit)
    kind = type(builder).__mro__[1].__module__.removeprefix("datasets.packaged_modules.").partition(".")[0]
    if kind not in READERS:
        raise Unreadable(
            f"Its files are of the kind “{kind[:30]}”, not a table.", f"Choose a dataset of {', '.join(READERS)} files."
        )
    return builder


def _plain(value: Any) -> Any:
    """Pictures and sound are left out; what else JSON does not know becomes text."""
    return None if isinstance(value, bytes | bytearray | memoryview) else str(value)


def _in_words(error: Exception) -> tuple[str, str]:
    """What went wrong, without what a stranger's server wrote."""
    import datasets
    from huggingface_hub.errors import HfHubHTTPError

    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, HfHubHTTPError) and status in (401, 403):
        return (
            "The hub does not let this token read the dataset.",
            "Accept its conditions on its page, or use another token.",
        )
    if isinstance(error, HfHubHTTPError) and status == 429:
        return "The hub asks to wait.", "Try again in a few minutes."
    if isinstance(error, datasets.exceptions.DatasetNotFoundError | FileNotFoundError):
        return "The hub has no such dataset, configuration or file.", "Check the id, and that the token may see it."
    if isinstance(error, RuntimeError) and "scripts" in str(error):
        return "Its rows come from a program of the repository, which is never run.", "Choose a dataset of plain files."
    if isinstance(error, OSError | HfHubHTTPError) or "Connection" in type(error).__name__:
        return "The hub does not answer, or broke off.", "Try again; what was written so far is not kept."
    return (
        f"The library “datasets” cannot read it ({type(error).__name__}).",
        "Download its files and import them, which says more about what is wrong.",
    )


def _say(words: dict[str, Any]) -> None:
    print(orjson.dumps(words).decode(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
