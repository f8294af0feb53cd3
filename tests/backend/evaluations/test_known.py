"""Keys under which answers are found again: of the same weights alone."""

import os
from pathlib import Path

from alignment.sampling import Sampling
from backend.evaluations import known
from tests.backend.checkpoints.conftest import config, weights
from tests.loop import add_checkpoint


def test_other_weights_in_the_same_folder_are_asked_anew(servers: object, tmp_path: Path) -> None:
    """When files of a registered folder are written anew, nothing that was said before is theirs."""
    (tmp_path / "config.json").write_text(config())
    (tmp_path / "tokenizer.json").write_text("{}")
    weights(tmp_path / "model.safetensors")
    checkpoint = add_checkpoint(tmp_path)

    first, again = (known.answer_key(checkpoint, "0" * 64, Sampling()) for _ in range(2))
    stat = (tmp_path / "model.safetensors").stat()
    os.utime(tmp_path / "model.safetensors", ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000))

    assert first == again
    assert known.answer_key(checkpoint, "0" * 64, Sampling()) != first
