"""Texts are counted in tokens by a process of its own, which strangers' files cannot bring down."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from alignment.tokenizing import FILE, Tokenizing
from tests.checkpoints import make_llama


@pytest.fixture
def tokenizing() -> Iterator[Tokenizing]:
    found = Tokenizing()
    yield found
    found.close()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lengths") / "tiny"
    make_llama(folder, ["How do I bake bread? It needs flour, water and time."])
    return folder


def test_counts_are_those_of_the_checkpoint_s_tokenizer(tokenizing: Tokenizing, checkpoint: Path) -> None:
    """As its own tokenizer reads the texts, without what it would add around them; again after the process has gone."""
    from transformers import AutoTokenizer

    texts = ["How do I bake bread?", "", "Bread needs flour, water and time. " * 30]
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    expected = [len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]

    assert tokenizing.counts(checkpoint, texts) == expected
    assert tokenizing.pid is not None
    os.kill(tokenizing.pid, signal.SIGKILL)
    assert tokenizing.counts(checkpoint, texts) == expected


@pytest.mark.parametrize("content", ["", "{}", "[" * 100_000, '{"version": "1.0"}', "\0"], ids=range(5))
def test_a_file_that_is_no_tokenizer_counts_nothing(
    tokenizing: Tokenizing, checkpoint: Path, tmp_path: Path, content: str
) -> None:
    """Nothing is known, nothing is raised, and the next checkpoint is counted."""
    assert tokenizing.counts(tmp_path, ["x"]) is None
    (tmp_path / FILE).write_text(content)
    assert tokenizing.counts(tmp_path, ["x"]) is None
    assert tokenizing.counts(checkpoint, ["some words"]) is not None


def test_vocabularies_are_alike_where_tokens_and_ids_are(
    tokenizing: Tokenizing, checkpoint: Path, tmp_path: Path
) -> None:
    """However the file is written; one more token makes another."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    tokenizer.save_pretrained(tmp_path / "same")
    (tmp_path / "same" / FILE).write_text(json.dumps(json.loads((tmp_path / "same" / FILE).read_text()), indent=7))
    tokenizer.add_tokens(["<one more>"])
    tokenizer.save_pretrained(tmp_path / "other")

    own = tokenizing.vocabulary(checkpoint)
    assert own is not None
    assert tokenizing.vocabulary(tmp_path / "same") == own
    assert tokenizing.vocabulary(tmp_path / "other") not in (own, None)
    assert tokenizing.vocabulary(tmp_path) is None
