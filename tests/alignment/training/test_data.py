"""Examples reach training in their split, whole or cut as stated; what cannot be trained on is refused by place."""

import json
import shutil
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from alignment import chat
from alignment.formats import snapshot
from alignment.objectives import feeding
from alignment.training.data import Example, Wanted, read
from alignment.training.encode import Encoder, Examples
from alignment.training.errors import BadData, CheckpointRefused, TemplateHeld
from alignment.training.events import began
from alignment.training.model import load_tokenizer
from alignment.training.remarks import remarks
from alignment.training.spec import Length, Source
from tests.alignment.training.conftest import MakeSnapshot, examples

Encode = Callable[..., Examples]
PAIRS = Wanted("DPO", feeding.PAIR)


def nothing() -> None:
    pass


def pair(prompt: str, chosen: str, rejected: str) -> Example:
    better, worse = ({"role": "assistant", "content": text} for text in (chosen, rejected))
    return Example("p", "train", [{"role": "user", "content": prompt}], (better, worse))


@pytest.fixture
def encode(base: Path) -> Encode:
    tokenizer = load_tokenizer(base)

    def run(*pairs: Example, context: int | None = None, **length: Any) -> Examples:
        return Encoder(tokenizer, chat.ending(tokenizer), Length(**length), context).encode(pairs, nothing)

    return run


def test_a_snapshot_gives_its_training_and_validation_examples_and_never_its_test_ones(
    make_snapshot: MakeSnapshot,
) -> None:
    """A test prompt does not enter training."""
    rows = examples(6, 2)
    rows[-1].split = "test"

    pairs = list(read([Source(path=make_snapshot(rows))], PAIRS))

    assert sorted(pair.split for pair in pairs) == ["train"] * 5 + ["validation"] * 2
    assert rows[-1].id not in {pair.id for pair in pairs}
    assert all(pair.responses[0]["content"].startswith("thank you") for pair in pairs)


def test_a_data_file_is_read_by_its_format(tmp_path: Path) -> None:
    """The command line trains on a file without a database; held-out prompts stay held out."""
    rows = [{"prompt": f"ask {index}", "chosen": "yes", "rejected": "no"} for index in range(200)]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))

    pairs = list(read([Source(path=tmp_path / "pairs.jsonl", format="trl")], PAIRS))

    assert 150 < sum(pair.split == "train" for pair in pairs) < len(pairs) < 200
    assert pairs[0].responses[0]["content"].strip() == "yes"


@pytest.mark.parametrize("name", ["missing", "file", "empty-folder"])
def test_a_source_that_is_no_snapshot_is_refused_at_its_field(tmp_path: Path, name: str) -> None:
    """What cannot be read is refused, with the field of the spec."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty-folder").mkdir()

    with pytest.raises(BadData) as refused:
        list(read([Source(path=tmp_path / name)], PAIRS))

    assert refused.value.field == "snapshots.0.path"
    assert refused.value.exit_code == 65


def test_a_bad_line_of_a_data_file_is_named(tmp_path: Path) -> None:
    """File, line and field of the first bad row are in the message."""
    (tmp_path / "pairs.jsonl").write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n{"prompt": "a", "cho')

    with pytest.raises(BadData, match=r"pairs\.jsonl, line 2"):
        list(read([Source(path=tmp_path / "pairs.jsonl", format="trl")], PAIRS))


def test_a_snapshot_of_another_kind_is_refused(tmp_path: Path) -> None:
    """Prompts without responses are not trained on."""
    rows = [snapshot.Example(id="1", split="train", prompt=[{"role": "user", "content": "hi"}], responses=[])]
    made = snapshot.write(tmp_path, rows, kind="prompts", policy={}, dataset={})

    with pytest.raises(BadData, match="prompts"):
        list(read([Source(path=tmp_path / made.hash)], PAIRS))


def test_both_responses_follow_the_same_prompt_and_end_with_one_end_token(encode: Encode, base: Path) -> None:
    """Prompt tokens are those that generation starts from; a response is its text and one end token."""
    tokenizer = load_tokenizer(base)

    (example,) = encode(pair("the cat", "sat on", "never")).train

    assert tokenizer.decode(example.prompt) == "<|user|>the cat<|assistant|>"
    assert tokenizer.decode(example.responses[0]) == "sat on<eos>"
    assert tokenizer.decode(example.responses[1]) == "never<eos>"


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_long_prompt_is_cut_on_the_side_that_the_spec_names(encode: Encode, side: str) -> None:
    """The other end of the prompt stays whole, and the cut is counted."""
    whole = encode(pair("the cat sat on the mat", "yes", "no")).train[0].prompt

    cut = encode(pair("the cat sat on the mat", "yes", "no"), max_prompt_tokens=4, cut_prompt=side)

    assert cut.train[0].prompt == (whole[-4:] if side == "left" else whole[:4])
    assert cut.counts["prompts_cut"] == 1
    assert cut.counts["responses_cut"] == 0


def test_a_long_response_loses_its_end(encode: Encode) -> None:
    """A response over the limit is cut on the right and does not pretend to end there."""
    whole = encode(pair("the", "cat sat on the mat", "no")).train[0].responses[0]

    cut = encode(pair("the", "cat sat on the mat", "no"), max_response_tokens=3)

    assert cut.train[0].responses[0] == whole[:3]
    assert cut.counts["responses_cut"] == 1


def test_nothing_exceeds_the_context(encode: Encode) -> None:
    """A prompt over the context length is cut, never the model's positions overrun."""
    for prompt, chosen in (("the cat " * 60, "sat"), ("the", "cat sat " * 60), ("the cat " * 60, "cat sat " * 60)):
        (example,) = encode(pair(prompt, chosen, "no"), context=32).train
        assert example.longest <= 32
        assert example.prompt
        assert example.responses[0]


def test_pairs_whose_sides_are_the_same_are_dropped_and_counted(encode: Encode) -> None:
    """Equal responses teach nothing; equal beginnings that cutting leaves behind count too."""
    found = encode(pair("a", "yes", "yes"), pair("a", "the cat sat", "the cat ran"), max_response_tokens=1)

    assert found.train == []
    assert found.counts["same_dropped"] == 2


def test_a_template_that_hides_what_was_answered_is_refused_by_the_example(base: Path) -> None:
    """Where the prompt reads differently once an answer follows, and the answer is not found, nothing is guessed."""
    tokenizer = load_tokenizer(base)
    tokenizer.chat_template = (
        "{{ messages | length }}{% for m in messages %}{{ m.content | length }}{% endfor %}"
        "{% if add_generation_prompt %}:{% endif %}"
    )
    encoder = Encoder(tokenizer, chat.Ending(frozenset({1}), 1), Length(), None)

    with pytest.raises(BadData, match="Example p: the chat template leaves out what the assistant says"):
        encoder.encode([pair("a", "b", "c")], nothing)


def test_a_message_that_is_not_text_is_refused(base: Path) -> None:
    """Images are refused by name, not dropped."""
    encoder = Encoder(load_tokenizer(base), chat.Ending(frozenset({1}), 1), Length(), None)
    image = Example("p", "train", [{"role": "user", "content": [{"type": "image", "blob": "0"}]}], ({}, {}))

    with pytest.raises(BadData, match="only text"):
        encoder.encode([image], nothing)


def test_what_was_cut_and_left_out_is_told_with_its_numbers(encode: Encode) -> None:
    """How many of how many, and on which side; a run without losses says nothing."""
    cut = encode(pair("the cat sat on the mat", "yes sat on the mat", "no"), max_prompt_tokens=4, max_response_tokens=3)
    lost = encode(pair("the", "yes<eos>on", "no"), pair("the", " <eos>", "yes"))

    assert [remark.message for remark in remarks(cut, Length(cut_prompt="right"))] == [
        "1 of 1 prompts were cut on the right, 1 of 2 responses on the right, which so have no end"
    ]
    told = {name: number for remark in remarks(lost, Length()) for name, number in remark.numbers.items()}
    assert told["ended_early"] == 2
    assert list(remarks(encode(pair("the", "yes", "no")), Length())) == []


def test_a_tokenizer_with_templates_and_no_default_is_refused(base: Path, tmp_path: Path) -> None:
    """Which one is meant is asked for before anything is trained."""
    copied = Path(shutil.copytree(base, tmp_path / "several"))
    (copied / "additional_chat_templates").mkdir()
    (copied / "chat_template.jinja").rename(copied / "additional_chat_templates" / "rag.jinja")

    with pytest.raises(CheckpointRefused, match="several and none is the default"):
        load_tokenizer(copied)


def test_a_template_that_does_not_end_is_stopped_when_its_checkpoint_is_loaded(base: Path, tmp_path: Path) -> None:
    """Training and sampling refuse it with an error of its own."""
    copied = Path(shutil.copytree(base, tmp_path / "hostile"))
    (copied / "chat_template.jinja").write_text("{{ 'x' * 10 ** 11 }}{{ messages }}")

    with pytest.raises(TemplateHeld, match="too much memory"):
        load_tokenizer(copied)


def test_a_run_keeps_the_day_on_which_it_began(tmp_path: Path) -> None:
    """Its first event says when; without one it begins today."""
    events = tmp_path / "events.jsonl"
    today = began(events)
    events.write_text('{"type": "log", "time": 1720000000.0}\n{"type": "log", "time": 1800000000.0}\n')

    assert abs((began(events) - date(2024, 7, 3)).days) <= 1
    assert abs((today - datetime.now().astimezone().date()).days) <= 1
