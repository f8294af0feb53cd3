"""Scores of given responses: what transformers' own models say, and a reason where there is nothing to say."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from alignment.rewards import Asked, Scorer
from alignment.training.errors import CheckpointRefused
from tests.alignment.training.conftest import moved
from tests.checkpoints import make_llama

ASKED = [
    Asked(
        [{"role": "user", "content": f"who sees the {word}?"}],
        [{"role": "assistant", "content": text} for text in texts],
    )
    for word, texts in {
        "sun": ["red bird", "old"],
        "moon": ["the cat"],
        "tree": ["a", "big fish", "the red dog"],
    }.items()
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama folder with random weights."""
    words = "who sees the sun moon tree red bird old cat a big fish dog"
    return make_llama(tmp_path_factory.mktemp("models") / "base", [words] * 20)


@pytest.fixture(scope="module")
def policy(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with other weights."""
    return moved(base, tmp_path_factory.mktemp("policy") / "policy", 0.3)


@pytest.fixture(scope="module")
def reward_model(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier with one label, as transformers saves it."""
    folder = tmp_path_factory.mktemp("reward") / "model"
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
    model.config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def written(folder: Path, asked: Asked, answer: Any) -> tuple[torch.Tensor, int]:
    """The ids of a conversation up to its end, and how many of them are the prompt's."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompt = tokenizer.apply_chat_template(list(asked.prompt), add_generation_prompt=True, tokenize=False)
    whole = tokenizer.apply_chat_template([*asked.prompt, answer], tokenize=False)
    ids = tokenizer(whole, add_special_tokens=False, return_tensors="pt").input_ids
    while ids[0, -1] != tokenizer.eos_token_id:
        ids = ids[:, :-1]  # white space after the end
    return ids, len(tokenizer(prompt, add_special_tokens=False).input_ids)


@torch.no_grad()
def logp(folder: Path, asked: Asked, answer: Any) -> float:
    """Of the response after its prompt, by transformers' own model."""
    ids, start = written(folder, asked, answer)
    logits = AutoModelForCausalLM.from_pretrained(folder)(ids).logits[0, :-1].log_softmax(-1)
    return float(logits.gather(1, ids[0, 1:, None])[start - 1 :].sum())


def test_implicit_rewards(base: Path, policy: Path) -> None:
    """Beta times the log-ratio of policy and reference, of pairs, single responses and rankings; zero of themselves."""
    found = Scorer(policy, base, 0.5).score(ASKED)
    for asked, told in zip(ASKED, found, strict=True):
        ratios = [logp(policy, asked, answer) - logp(base, asked, answer) for answer in asked.responses]
        assert told.scores == pytest.approx([0.5 * ratio for ratio in ratios], abs=1e-4)
    assert len({score for told in found for score in told.scores or ()}) == 6
    assert Scorer(base, base).score(ASKED[:1])[0].scores == (0, 0)


def test_scores_of_a_reward_model(reward_model: Path) -> None:
    """What transformers' classifier says at the end of the response."""
    scorer = Scorer(reward_model)
    model = AutoModelForSequenceClassification.from_pretrained(reward_model)
    for asked, told in zip(ASKED, scorer.score(ASKED), strict=True):
        with torch.no_grad():
            expected = [float(model(written(reward_model, asked, answer)[0]).logits) for answer in asked.responses]
        assert told.scores == pytest.approx(expected, abs=1e-4)
    assert scorer.comparable


def test_what_cannot_be_scored(base: Path, policy: Path) -> None:
    """Equal responses and messages that no template takes have a reason; those beside them have their scores."""
    same = Asked(ASKED[0].prompt, [{"role": "assistant", "content": "old"}] * 2)
    picture = Asked([{"role": "user", "content": [{"type": "image", "url": "x"}]}], ASKED[1].responses)
    first, second, third = Scorer(policy, base).score([same, picture, ASKED[0]])
    assert first.scores is None
    assert first.reason
    assert second.scores is None
    assert second.reason
    assert third.scores is not None


def test_what_cannot_score(base: Path, tmp_path: Path) -> None:
    """A language model with nothing to measure it against, or against one that reads other tokens."""
    with pytest.raises(CheckpointRefused, match="is a language model"):
        Scorer(base)
    stranger = make_llama(tmp_path / "stranger", ["quite another text with other words"] * 20)
    with pytest.raises(CheckpointRefused, match="another tokenizer"):
        Scorer(base, stranger)


def test_one_may_stop_it(base: Path, policy: Path) -> None:
    """What is raised between batches ends the scoring."""

    def check() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Scorer(policy, base).score(ASKED, check)
