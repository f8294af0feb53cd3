"""Checkpoints that score responses: the numbers are transformers' own, whatever stands beside a response."""

import math
import uuid
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from alignment.formats import snapshot
from alignment.judges import Match, resolve
from alignment.judges.scored import Question, Told, Unread
from alignment.objectives import CATALOGUE, Batch, Role
from alignment.objectives.rewards import PER_TOKEN
from alignment.scores import Reader
from alignment.training import train
from tests.alignment.training.conftest import examples, moved, sentence
from tests.checkpoints import make_llama

ASKED: Any = [{"role": "user", "content": "the cat sat"}]
TEXTS = ("thank you dogs ran fast over long hills", "never", "thank you")
SOMEBODY, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama folder with random weights that reads 64 tokens."""
    import random

    rng = random.Random(1)
    texts = [sentence(rng) for _ in range(100)]
    return make_llama(tmp_path_factory.mktemp("models") / "base", texts, hidden=16, layers=1, context=64)


@pytest.fixture(scope="module")
def trained(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Reward models that learned for two steps: three heads, and general preferences."""
    folder = tmp_path_factory.mktemp("trained")
    data = snapshot.write(folder, examples(8, 0), kind="paired", policy={}, dataset={})
    found = {}
    for name, objective in {
        "heads": {"name": "bradley_terry", "heads": 3},
        "general": {"name": "gpm_rm", "dimensions": 2, "normalize": False},
    }.items():
        spec = {
            "kind": "reward_model",
            "checkpoint": str(base),
            "snapshots": [{"path": str(folder / data.hash)}],
            "objective": objective,
            "optimizer": {"learning_rate": 3e-2, "warmup_ratio": 0},
            "batch": {"examples_per_step": 4},
            "duration": {"steps": 2},
        }
        made = train(spec, folder / name).checkpoint
        assert made is not None
        found[name] = made
    return found


@pytest.fixture(scope="module")
def foreign(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sequence classifier with one label, as transformers saves it."""
    reader = Reader(base, "cpu")
    folder = tmp_path_factory.mktemp("foreign") / "classifier"
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
    model.config.pad_token_id = reader.tokenizer.pad_token_id
    model.save_pretrained(folder)
    reader.tokenizer.save_pretrained(folder)
    return folder


def _ids(reader: Reader, text: str) -> tuple[list[int], list[int]]:
    messages = [*ASKED, {"role": "assistant", "content": text}]
    whole = reader.tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False)
    prompt = reader.tokenizer.apply_chat_template(ASKED, tokenize=True, add_generation_prompt=True, return_dict=False)
    return list(whole), list(prompt)


def test_scores_are_those_of_transformers(foreign: Path) -> None:
    """A classifier's score of a whole dialogue, however many responses share the prompt and in whatever order."""
    reader = Reader(foreign, "cpu")
    model = AutoModelForSequenceClassification.from_pretrained(foreign)
    other = Question([{"role": "user", "content": "dogs"}], ("never", "sorry"))

    (told, _, alone) = reader.tell([Question(ASKED, TEXTS), other, Question(ASKED, TEXTS[1:2])])

    for text, one in zip(TEXTS, told, strict=True):
        with torch.no_grad():
            expected = model(torch.tensor([_ids(reader, text)[0]])).logits[0, 0].item()
        assert isinstance(one, Told)
        assert one.values == pytest.approx((expected,), abs=1e-5)
    assert alone == told[1:2]
    assert reader.scores


def test_log_probabilities_are_those_of_transformers(base: Path) -> None:
    """The sum over a response's tokens, its end included; of a beginning, without an end."""
    reader = Reader(base, "cpu")
    model = AutoModelForCausalLM.from_pretrained(base)

    told, begun = reader.tell([Question(ASKED, TEXTS), Question(ASKED, TEXTS, whole=False)])

    for text, one, part in zip(TEXTS, told, begun, strict=True):
        whole, prompt = _ids(reader, text)
        with torch.no_grad():
            logps = model(torch.tensor([whole])).logits[0].log_softmax(-1)
        each = [logps[at - 1, whole[at]].item() for at in range(len(prompt), len(whole))]
        assert isinstance(one, Told)
        assert isinstance(part, Told)
        assert (one.values[0], part.values[0]) == pytest.approx((sum(each), sum(each[:-1])), abs=1e-4)
        assert (one.tokens, part.tokens) == (len(each), len(each) - 1)
    assert not reader.scores


def test_what_cannot_be_read_whole_is_refused_and_nothing_is_cut(base: Path) -> None:
    """A response beyond the context, a prompt with a picture, a response of nothing: each says why, others are read."""
    reader = Reader(base, "cpu")
    picture: Any = [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]

    long, seen, none = reader.tell(
        [
            Question(ASKED, ("never", "never " * 90)),
            Question(picture, ("never",)),
            Question(ASKED, ("",), whole=False),
        ]
    )

    assert isinstance(long[0], Told)
    assert isinstance(long[1], Unread)
    assert "reads 64 at once" in long[1].reason
    assert seen == [Unread("The prompt holds something other than text.")]
    assert isinstance(none[0], Unread)


def test_weights_that_say_no_number_leave_matches_undecided(base: Path, tmp_path: Path) -> None:
    """A checkpoint of a run that diverged decides nothing, instead of something."""
    broken = moved(base, tmp_path / "broken", 0)
    weights = load_file(broken / "model.safetensors")
    save_file({name: value * math.nan for name, value in weights.items()}, broken / "model.safetensors")
    judge = resolve({"name": "density_ratio", "strong": str(SOMEBODY), "weak": str(OTHER)})

    (verdict,) = judge.reading({"strong": Reader(base, "cpu"), "weak": Reader(broken, "cpu")}).decide(  # type: ignore[attr-defined]
        [Match(ASKED, *TEXTS[:2])]
    )

    assert verdict.probability is None
    assert "no number" in verdict.reason


def test_reward_models_judge_and_caution_lowers_what_members_disagree_about(
    trained: dict[str, Path], foreign: Path
) -> None:
    """Two members with four heads: each score is mean - k · deviation, the sides may be turned, equals are ties."""
    heads, single = Reader(trained["heads"], "cpu"), Reader(foreign, "cpu")
    first, second = TEXTS[:2]
    spec = {"name": "reward_model", "members": [str(SOMEBODY), str(OTHER)], "temperature": 2.0}
    readers = {"members.0": heads, "members.1": single}
    match = Match(ASKED, first, second)
    values = [
        torch.tensor([value for one in told for value in one.values], dtype=torch.float64)
        for told in zip(
            *(reader.tell([Question(ASKED, (first, second))])[0] for reader in (heads, single)), strict=True
        )
    ]

    for caution in (0.0, 3.0):
        judge = resolve({**spec, "caution": caution}).reading(readers)  # type: ignore[attr-defined]
        verdict, turned, same = judge.decide([match, Match(ASKED, second, first), Match(ASKED, first, first)])
        bounds = [float(one.mean() - caution * one.std(correction=0)) for one in values]
        assert [side["score"] for side in verdict.scores] == pytest.approx(bounds, abs=1e-6)
        assert verdict.probability == pytest.approx(1 / (1 + math.exp(-(bounds[0] - bounds[1]) / 2)))
        assert turned.probability == pytest.approx(1 - verdict.probability, abs=1e-12)
        assert same.probability == 0.5


def test_a_model_that_only_compares_gives_its_own_odds(trained: dict[str, Path]) -> None:
    """General preferences: the probability is the model's, turned round exactly; of three responses it says nothing."""
    reader = Reader(trained["general"], "cpu")
    judge = resolve({"name": "reward_model", "members": [str(SOMEBODY)]}).reading({"members.0": reader})  # type: ignore[attr-defined]

    one, turned = judge.decide([Match(ASKED, *TEXTS[:2]), Match(ASKED, *TEXTS[1::-1])])
    (three,) = reader.tell([Question(ASKED, TEXTS)])

    assert one.probability == 1 - turned.probability
    assert one.probability != 0.5
    assert one.scores[0]["score"] == -one.scores[1]["score"]
    assert {type(answer) for answer in three} == {Unread}


def test_log_ratios_judge(base: Path, tmp_path: Path) -> None:
    """beta · log-ratio by sum or mean; the density ratio is the same at beta 1, and nothing against itself."""
    policy, reference = Reader(moved(base, tmp_path / "policy", 0.05), "cpu"), Reader(base, "cpu")
    question, match = Question(ASKED, TEXTS[:2]), Match(ASKED, *TEXTS[:2])
    ours, theirs = policy.tell([question])[0], reference.tell([question])[0]
    ratios = [one.values[0] - other.values[0] for one, other in zip(ours, theirs, strict=True)]  # type: ignore[union-attr]
    implicit = {"name": "implicit_reward", "checkpoint": str(SOMEBODY), "reference": str(OTHER), "beta": 0.3}
    density = {"name": "density_ratio", "strong": str(SOMEBODY), "weak": str(OTHER)}

    def scores(spec: dict[str, Any], one: Reader, other: Reader) -> list[float]:
        judge: Any = resolve(spec)
        (verdict,) = judge.reading(dict(zip(judge.asks, (one, other), strict=True))).decide([match])
        return [side["score"] for side in verdict.scores]

    assert scores(implicit, policy, reference) == pytest.approx([0.3 * ratio for ratio in ratios], abs=1e-6)
    mean = [0.3 * ratio / one.tokens for ratio, one in zip(ratios, ours, strict=True)]  # type: ignore[union-attr]
    assert scores({**implicit, "over": "mean"}, policy, reference) == pytest.approx(mean, abs=1e-6)
    assert scores(density, policy, reference) == pytest.approx(ratios, abs=1e-6)
    assert scores(density, reference, reference) == [0.0, 0.0]


def test_objectives_whose_rewards_are_per_token_are_known() -> None:
    """Twice as many tokens of the same log-probability halve the reward of those named, and change no other's."""
    roles = torch.tensor([int(Role.CHOSEN), int(Role.REJECTED)])

    def rewards(part: Any, lengths: float) -> torch.Tensor | None:
        logps, reference = torch.tensor([-4.0, -5.0]), torch.tensor([-4.5, -4.0])
        batch = Batch(logps, torch.full((2,), lengths), torch.zeros(2, dtype=torch.long), roles, reference)
        try:
            return part.rewards(batch)  # type: ignore[no-any-return]
        except Exception:  # noqa: BLE001  (it asks for more than log-probabilities)
            return None

    looked_at = 0
    for name, part in CATALOGUE.items():
        try:
            one, twice = (rewards(part(), lengths) for lengths in (8.0, 16.0))
        except ValueError:
            continue  # made of others
        if one is None or twice is None:
            continue
        looked_at += 1
        assert torch.allclose(one, twice) == (name not in PER_TOKEN), name
    assert looked_at > 60
