"""Texts are counted in tokens by a process of its own, which strangers' files cannot bring down."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from alignment.lengths import TOKENIZER, Counter
from tests.checkpoints import make_llama


@pytest.fixture
def counter() -> Iterator[Counter]:
    found = Counter()
    yield found
    found.close()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lengths") / "tiny"
    make_llama(folder, ["How do I bake bread? It needs flour, water and time."])
    return folder


def test_counts_are_those_of_the_checkpoint_s_tokenizer(counter: Counter, checkpoint: Path) -> None:
    """As its own tokenizer reads the texts, without what it would add around them; again after the process has gone."""
    from transformers import AutoTokenizer

    texts = ["How do I bake bread?", "", "Bread needs flour, water and time. " * 30]
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    expected = [len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]

    assert counter.count(checkpoint, texts) == expected
    assert counter.pid is not None
    os.kill(counter.pid, signal.SIGKILL)
    assert counter.count(checkpoint, texts) == expected


@pytest.mark.parametrize("content", ["", "{}", "[" * 100_000, '{"version": "1.0"}', "\0"], ids=range(5))
def test_a_file_that_is_no_tokenizer_counts_nothing(
    counter: Counter, checkpoint: Path, tmp_path: Path, content: str
) -> None:
    """Nothing is known, nothing is raised, and the next checkpoint is counted."""
    assert counter.count(tmp_path, ["x"]) is None
    (tmp_path / TOKENIZER).write_text(content)
    assert counter.count(tmp_path, ["x"]) is None
    assert counter.count(checkpoint, ["some words"]) is not None
