"""KL of whole answers, told from drawn ones token by token: unbiased, and surer than their log-ratios."""

import math
from collections import defaultdict
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from alignment.generation import reading
from alignment.generation.reading import Read, Said

END, LONGEST, PROMPT = 4, 4, [1, 2]


def model(seed: int, **more: object) -> PreTrainedModel:
    """Five tokens, of which one ends an answer; decided enough that models differ."""
    torch.manual_seed(seed)
    config = AutoConfig.for_model(
        "llama",
        vocab_size=5,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        initializer_range=0.8,
        **more,
    )
    made: PreTrainedModel = AutoModelForCausalLM.from_config(config).eval()  # type: ignore[no-untyped-call]
    return made


def answers() -> list[list[int]]:
    """Every answer there can be: up to its end, or cut at the longest length."""
    found: list[list[int]] = []
    open_ones: list[list[int]] = [[]]
    for _ in range(LONGEST):
        grown = [[*one, token] for one in open_ones for token in range(5)]
        found += [one for one in grown if one[-1] == END]
        open_ones = [one for one in grown if one[-1] != END]
    return found + open_ones


def told(policy: PreTrainedModel, reference: PreTrainedModel, answer: list[int]) -> Said:
    read = Read(PROMPT, answer, [""] * len(answer))
    return reading.said(reading.voice(policy, read), reading.voice(reference, read), read)


def test_over_every_answer_there_can_be() -> None:
    """By enumeration: all estimates have the KL of whole answers as their mean, also of those cut at a length; the one
    over the vocabulary varies least, and each token's divergence is that of what was expected after its prefix."""
    policy, reference = model(0), model(1)
    chance: list[float] = []
    estimates: dict[str, list[float]] = defaultdict(list)
    by_prefix: dict[tuple[int, ...], dict[int, tuple[float, float]]] = defaultdict(dict)
    seen: dict[tuple[int, ...], float] = {}
    for answer in answers():
        said = told(policy, reference, answer)
        ratios = [own - other for own, other in zip(said.policy, said.reference, strict=True)]
        chance.append(math.exp(sum(said.policy)))
        estimates["k1"].append(sum(ratios))
        estimates["k3"].append(sum(math.exp(-one) - 1 + one for one in ratios))
        estimates["exact"].append(sum(said.kl or []))
        for place, token in enumerate(answer):
            prefix = tuple(answer[:place])
            by_prefix[prefix][token] = (said.policy[place], said.reference[place])
            seen[prefix] = (said.kl or [])[place]

    whole = sum(p * one for p, one in zip(chance, estimates["k1"], strict=True))
    assert sum(chance) == pytest.approx(1, abs=1e-5)
    assert whole > 0.05
    variance = {}
    for name, values in estimates.items():
        assert sum(p * one for p, one in zip(chance, values, strict=True)) == pytest.approx(whole, rel=1e-4)
        variance[name] = sum(p * (one - whole) ** 2 for p, one in zip(chance, values, strict=True))
    assert variance["exact"] < variance["k1"] / 2
    assert variance["exact"] < variance["k3"]
    for prefix, tokens in by_prefix.items():
        expected = sum(math.exp(own) * (own - other) for own, other in tokens.values())
        assert seen[prefix] == pytest.approx(expected, abs=1e-5)


def test_the_same_model_is_at_zero_and_unlike_vocabularies_are_not_compared() -> None:
    """A copy is at exactly 0; where one model has further logits there is no divergence, and the rest still stands."""
    policy = model(0)
    assert told(policy, policy, [0, 1, END]).kl == [0, 0, 0]
    torch.manual_seed(3)
    wider = model(0)
    wider.resize_token_embeddings(7)
    said = told(policy, wider, [0, 1, END])
    assert said.kl is None
    assert all(map(math.isfinite, said.reference))


def test_models_that_cap_their_logits_are_read_by_them(tmp_path: Path) -> None:
    """What is made of the projection of the last hidden states is made of it here, too."""
    torch.manual_seed(2)
    config = AutoConfig.for_model(
        "gemma2",
        vocab_size=5,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=4,
        final_logit_softcapping=1.0,
        initializer_range=2.0,
        pad_token_id=0,
    )
    bent: PreTrainedModel = AutoModelForCausalLM.from_config(config).eval()  # type: ignore[no-untyped-call]
    said = told(model(0), bent, [0, 1, END])
    with torch.no_grad():
        likely = torch.log_softmax(bent(torch.tensor([[*PROMPT, 0, 1, END]])).logits[0], dim=-1)
    assert said.reference == pytest.approx([float(likely[1 + place, token]) for place, token in enumerate([0, 1, END])])
    assert all(one > 0 for one in said.kl or [0])
